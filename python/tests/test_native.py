"""The package's module in C."""


def test_what_it_returns_is_a_reference_of_its_own(run):
    # Of a Python before 3.12 None, True and False are counted as everything else is.
    code, out, err = run(
        """
        from rtfinalize import _native
        r, w = os.pipe()
        def lost_by(call, result, calls):
            before = sys.getrefcount(result)
            for _ in range(calls):
                call()
            return before - sys.getrefcount(result) > calls // 2
        lost = [
            lost_by(_native.resume_dumps, None, 1000),
            lost_by(lambda: _native.within(20, int), True, 100),
            lost_by(lambda: _native.within(0, lambda: os.read(r, 1)), False, 20),
        ]
        os.write(w, bytes(20))
        print(lost)
        """
    )
    assert (code, out, err) == (0, "[False, False, False]\n", "")
