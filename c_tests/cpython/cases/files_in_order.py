# title: files on one destination, text and bytes, none of them closed: their records come in the order of the files
# of: everyday
# arrives: log: b"first\nsecond\nthird\nfourth\n"
first = open("log", "a")
second = open("log", "ab")
third = open("log", "a")
fourth = open("log", "ab")
fourth.write(b"fourth\n")
third.write("third\n")
second.write(b"second\n")
first.write("first\n")
