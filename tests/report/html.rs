//! The page for a browser: what is on it, that it adds up, and that nothing in a name acts.

use crate::reports::{family, hostile_names, leak, named, parsed, quiet, rich, span, thread};
use roxmltree::{Document, Node, ParsingOptions};
use rtfinalize::phase::Phase;
use rtfinalize::report::ledger::LeakKind;
use rtfinalize::report::{
    Blocked, Destination, Failure, HandlerRun, Report, TakenOver, to_html, to_json,
};
use rtfinalize::status::Status;
use std::sync::Arc;

fn page(report: &Report) -> String {
    to_html(report).expect("memory")
}

/// Reads a page with a parser that forgives nothing.
fn read(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|why| panic!("{why}:\n{page}"))
}

/// The elements of this name, of all classes or of one.
fn all<'a, 'd>(within: Node<'a, 'd>, name: &str, class: &str) -> Vec<Node<'a, 'd>> {
    let is_meant = |node: &Node<'_, '_>| {
        let classes = node.attribute("class").unwrap_or_default();
        node.tag_name().name() == name
            && (class.is_empty() || classes.split(' ').any(|one| one == class))
    };
    within.descendants().filter(is_meant).collect()
}

fn one<'a, 'd>(within: Node<'a, 'd>, name: &str, class: &str) -> Node<'a, 'd> {
    *all(within, name, class).first().unwrap_or_else(|| panic!("no {name}.{class}"))
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}

fn texts(nodes: &[Node<'_, '_>]) -> Vec<String> {
    nodes.iter().map(|node| text(*node)).collect()
}

/// The lane of this.
fn lane<'a, 'd>(page: &'a Document<'d>, what: &str) -> Node<'a, 'd> {
    let lanes = all(page.root(), "div", "lane");
    let named = |lane: &Node<'_, '_>| {
        all(*lane, "span", "what").first().is_some_and(|name| text(*name) == what)
    };
    lanes.into_iter().find(named).unwrap_or_else(|| panic!("no lane of {what}"))
}

/// Class, and where from and how wide in percent, of the bars of a lane.
fn bars(lane: Node<'_, '_>) -> Vec<(String, f64, f64)> {
    let share = |style: &str, name: &str| {
        let at = style.find(name).expect("its place") + name.len();
        let end = style[at..].find('%').expect("a share");
        style[at..at + end].parse().expect("a number")
    };
    let bars = all(one(lane, "div", "track"), "i", "");
    let place = |bar: Node<'_, '_>| {
        let style = bar.attribute("style").unwrap_or_default();
        let class = bar.attribute("class").unwrap_or_default();
        (class.to_owned(), share(style, "--l:"), share(style, "--w:"))
    };
    bars.into_iter().map(place).collect()
}

/// The numbers of a row of the table of destinations.
fn numbers(row: Node<'_, '_>) -> Vec<u64> {
    let number = |node| text(node).replace('\u{202f}', "").parse().expect("a number");
    all(row, "td", "n").into_iter().map(number).collect()
}

#[test]
fn page_says_first_how_it_ended_and_why_in_sentences() {
    let page = page(&rich());
    let page = read(&page);
    let header = one(page.root(), "header", "bad");
    assert_eq!(text(one(header, "h1", "")), "main ended, but not everything could be done");
    let lead =
        "It took 2.10 s of the 5.00 s it was given, and went 2 times round before the freeze. ";
    assert_eq!(text(one(header, "p", "lead")), lead);
    let expected = [
        "4608 bytes for app.log did not arrive; 512 of them are in calls that have not returned, and may still \
         arrive.",
        "Out of time: freeze after 502 ms.",
        "Failed: save_history, returned -1.",
        "Still there after the freeze: worker (thread 4712). Nothing that it may touch was freed.",
        "Waited 1.19 s for guard 'grpc-poller' of thread 4711: dropped",
        "Waited 500 ms for thread 'worker' (thread 4712): left a runaway",
        "There was no memory to note 3 more failures, waits or leaks.",
        "the report could not be written to r.json: Is a directory.",
    ];
    assert_eq!(texts(&all(header, "li", "")), expected);
}

#[test]
fn page_of_a_clean_finalization_says_so_and_lists_nothing() {
    let page = page(&quiet());
    let page = read(&page);
    let header = one(page.root(), "header", "good");
    assert_eq!(text(one(header, "h1", "")), "main ended well");
    let expected = [
        "Every accepted byte arrived.",
        "No callback failed.",
        "No thread was left running inside.",
    ];
    assert_eq!(texts(&all(header, "li", "")), expected);
    assert_eq!(text(one(page.root(), "p", "none")), "Nothing.");
    assert!(all(page.root(), "div", "list").is_empty());
}

#[test]
fn page_has_a_lane_for_every_phase_and_for_what_ran_was_waited_for_stopped_or_stayed() {
    let page = page(&rich());
    let page = read(&page);
    let expected = [
        "main",
        "daemon thread 'sync'",
        "guards",
        "atexit",
        "freeze",
        "flush-frozen",
        "finalize",
        "overlapped",
        "reclaim",
        "save_history",
        "clear modules",
        "collect",
        "send metrics",
        "ping",
        "trim",
        "guard 'grpc-poller' of thread 4711",
        "thread 'worker' (thread 4712)",
        "the lock of writer 'app.log', with 120 bytes, was taken over from thread 4714, which is parked for good",
        "daemon thread 'logger' (thread 4714)",
        "worker (thread 4712)",
        "pipe-read",
        "worker",
    ];
    assert_eq!(texts(&all(page.root(), "span", "what")), expected);
}

#[test]
fn page_draws_what_the_record_says_where_it_says() {
    let page = page(&rich());
    let page = read(&page);
    let (start, all) = (|us: f64| us / 21_000.0, 100.0);
    let near = |a: f64, b: f64| (a - b).abs() < 0.001;
    for (what, class, from_us, us) in [
        ("freeze", "over", 1_300_000.0, 502_000.0),
        ("clear modules", "run", 1_900_000.0, 20_000.0),
        ("guard 'grpc-poller' of thread 4711", "gaveup", 900.0, 1_199_000.0),
        ("daemon thread 'logger' (thread 4714)", "stopped", 1_802_000.0, 298_000.0),
        ("pipe-read", "kept", 2_090_000.0, 10_000.0),
    ] {
        let [(found, left, width)] = &bars(lane(&page, what))[..] else { panic!("{what}") };
        assert_eq!(found, class, "{what}");
        assert!(near(*left, start(from_us)) && near(*width, start(us)), "{what}: {left} {width}");
        assert!(left + width <= all + 0.001, "{what}");
    }
    let thread = bars(lane(&page, "daemon thread 'sync'"));
    let classes: Vec<_> = thread.iter().map(|(class, ..)| class.as_str()).collect();
    assert_eq!(classes, ["run", "waits", "stopped"]);
    assert!(near(thread[1].1, start(1_200_000.0)) && near(thread[1].2, start(300_000.0)));
    assert_eq!(bars(lane(&page, "guards")).len(), 2, "one for each pass");
    // It runs past the end of the record, and is cut there.
    assert!(bars(lane(&page, "send metrics"))[0].2 < start(900_000.0));
}

#[test]
fn page_shows_all_waits_for_the_same_on_one_lane_and_that_it_is_still_inside() {
    let mut report = rich();
    let what = "thread 'worker' (thread 4712)".to_owned();
    report.runaways = vec![what.clone()];
    report.blocked.push(Blocked {
        phase: Phase::FlushFrozen,
        what: what.clone(),
        start_us: 1_802_000,
        us: 50_000,
        outcome: Blocked::CAME.into(),
    });
    let page = page(&report);
    let page = read(&page);
    let lanes = texts(&all(page.root(), "span", "what"));
    assert_eq!(lanes.iter().filter(|lane| **lane == what).count(), 1);
    let lane = lane(&page, &what);
    let classes = |lane| bars(lane).into_iter().map(|(class, ..)| class).collect::<Vec<_>>();
    assert_eq!(classes(lane), ["gaveup", "waited", "inside"]);
    report.blocked.iter_mut().for_each(|blocked| blocked.outcome = Blocked::ENDED.into());
    let ended = to_html(&report).expect("memory");
    assert_eq!(classes(self::lane(&read(&ended), &what)), ["waited", "waited", "inside"]);
    assert_eq!(text(one(lane, "span", "us")), "550 ms");
}

#[test]
fn page_gives_every_byte_a_fate_and_the_same_totals_as_json() {
    let mut report = rich();
    let stuck = Destination { name: "x".into(), accepted: 70, in_flight: 70, ..Default::default() };
    report.destinations.push(stuck);
    let json = parsed(to_json(&report));
    let page = page(&report);
    let page = read(&page);
    let section = one(page.root(), "section", "bytes");
    let fields =
        ["accepted", "written", "in_flight", "unwritten", "flushed", "recovered", "left_to_parent"];
    let row_of = |name: &str| {
        let rows = all(section, "tr", "");
        let named =
            |row: &Node<'_, '_>| all(*row, "bdi", "name").first().is_some_and(|n| text(*n) == name);
        rows.into_iter().find(named).expect("its row")
    };
    let destinations = json["destinations"].as_array().expect("an array");
    let mut totals = vec![0; fields.len()];
    for destination in destinations {
        let row = row_of(destination["name"].as_str().expect("a name"));
        let expected = fields.map(|field| destination[field].as_u64().expect("a number"));
        assert_eq!(numbers(row), expected);
        totals.iter_mut().zip(expected).for_each(|(total, number)| *total += number);
    }
    assert_eq!(numbers(one(section, "tfoot", "")), totals);
    assert_eq!(totals[0], totals[1] + totals[2] + totals[3]);
    assert_eq!(json["missing_bytes"], totals[2] + totals[3]);
    assert!(text(one(section, "p", "balance")).ends_with("No byte is unaccounted for."));
}

#[test]
fn page_says_so_when_the_bytes_do_not_add_up() {
    let mut report = quiet();
    report.destinations[0].accepted += 3;
    let page = page(&report);
    assert!(page.contains("The two sides differ by 3 bytes."));
}

#[test]
fn page_has_all_that_the_text_has() {
    let page = page(&rich());
    let page = read(&page);
    let shown = text(one(page.root(), "main", ""));
    for what in [
        "over its budget of 500 ms",
        "no space left on device (ENOSPC)",
        "left a runaway",
        "returned -1",
        "warm cache",
        "failed: returned -1",
        "still running",
        "worker (thread 4712)",
        "pool-3 (thread 4713)",
        "its thread is still running",
        "at least 65\u{202f}536 bytes in all",
        "session",
        "rt_thread_enter",
        "late calls refused: 17",
        "and 3 more, for which there was no memory",
        "the report could not be written to r.json: Is a directory",
        "a runaway may still use the runtime",
        "trim",
        "12 callbacks",
        "2 handlers",
    ] {
        assert!(shown.contains(what), "{what}");
    }
}

/// Elements and their attributes' names, without what is in them.
fn shape(page: &str) -> Vec<String> {
    let page = read(page);
    let elements = page.root().descendants().filter(Node::is_element);
    let shape = |element: Node<'_, '_>| {
        let attributes: Vec<_> = element.attributes().map(|a| a.name()).collect();
        format!("{} {}", element.tag_name().name(), attributes.join(" "))
    };
    elements.map(shape).collect()
}

#[test]
fn page_has_the_same_elements_whatever_the_names() {
    let plain = shape(&page(&named("plain")));
    let attacks = [
        "<script>alert(1)</script>",
        "</title><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' style='position:fixed' onmouseover='alert(1)",
        "</style><style>*{display:none}",
        "--></bdi></td></table><!-- ]]>",
        "&lt;b&gt; &#x3c;script&#x3e; &amp;",
        "javascript:alert(1)",
        "\u{ffff}\u{fffe}\u{feff}",
    ];
    // An empty reason has no line.
    let given = hostile_names().into_iter().filter(|name| !name.is_empty());
    for name in given.chain(attacks.map(str::to_owned)) {
        let page = page(&named(&name));
        assert!(shape(&page) == plain, "{name:?} is markup in {page}");
        let acts = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}'));
        assert!(!page.contains(acts), "{name:?}");
        assert!(page.len() < 200_000, "{name:?}: {} bytes", page.len());
    }
    let attack = page(&named(attacks[0]));
    let shown = text(one(read(&attack).root(), "h1", ""));
    assert!(shown.starts_with("<script>alert(1)</script> ended"), "a name is shown whole: {shown}");
}

#[test]
fn page_loads_and_runs_nothing() {
    let page = page(&family());
    let page = read(&page);
    let mut policy = "";
    for element in page.root().descendants().filter(Node::is_element) {
        let name = element.tag_name().name();
        assert!(
            !["script", "link", "img", "iframe", "object", "base", "a"].contains(&name),
            "{name}"
        );
        for attribute in element.attributes().map(|a| a.name()) {
            assert!(!["src", "href"].contains(&attribute) && !attribute.starts_with("on"));
        }
        if element.attribute("http-equiv") == Some("Content-Security-Policy") {
            policy = element.attribute("content").unwrap_or_default();
        }
    }
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"), "{policy}");
    assert!(!text(one(page.root(), "style", "")).contains("url("));
}

/// So many of everything.
fn crowded(count: usize) -> Report {
    let mut report = rich();
    let name = |n: usize| format!("number {n}");
    for n in 0..count as u64 {
        let name = name(n as usize);
        let run = HandlerRun { name: name.clone(), span: span(1_900_000 + n, 1) };
        report.phases[4].handlers.push(run);
        report.blocked.push(Blocked {
            phase: Phase::Freeze,
            what: name.clone(),
            start_us: 1_300_000 + n,
            us: 100,
            outcome: "left".into(),
        });
        let how = "returned -1".to_owned();
        report.failures.push(Failure { phase: Phase::AtExit, name: name.clone(), how });
        report.taken_over.push(TakenOver { at_us: n, what: name.clone() });
        report.stopped.push(name.clone());
        let stopped = thread(&name, &report.threads[1].stretches[2..]);
        report.threads.push(stopped);
        report.runaways.push(format!("runaway {n}"));
        report.undetached.push(name.clone());
        report.leaks.push(leak(LeakKind::Object, &name, 8, "kept"));
        report.not_restartable.push(name.clone());
        report.children.push(Arc::new(quiet()));
        let written = Destination { accepted: 10, written: 10, name, ..Default::default() };
        report.destinations.push(written);
    }
    report
}

#[test]
fn page_of_thousands_shows_the_first_of_each_and_counts_the_rest() {
    let page = page(&crowded(5_000));
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    let page = read(&page);
    let rest = texts(&all(page.root(), "p", "more"));
    assert!(rest.contains(&"… and 4801 more of these".to_owned()), "{rest:?}");
    assert!(rest.contains(&"… and 4980 more that could do everything".to_owned()), "{rest:?}");
    let rest = texts(&all(page.root(), "div", "more"));
    assert!(rest.contains(&"… and 4966 shorter ones".to_owned()), "{rest:?}");
    assert!(rest.contains(&"… and 4961 more".to_owned()), "of the stopped: {rest:?}");
    lane(&page, "daemon thread 'sync'"); // What was not stopped at once has a lane.
    lane(&page, "clear modules"); // The longest have a lane.
    let section = one(page.root(), "section", "bytes");
    let row = one(section, "tr", "more");
    assert!(text(row).starts_with("… and 4801 more, whose bytes all arrived"));
    assert_eq!(numbers(row)[..2], [48_010, 48_010]);
    assert_eq!(numbers(one(section, "tfoot", ""))[0], 90_000 + 50_000);
}

#[test]
fn page_shows_every_destination_that_lacks_bytes() {
    let mut report = quiet();
    let lost = |n| Destination {
        name: format!("log {n}"),
        accepted: 1,
        unwritten: 1,
        ..Default::default()
    };
    report.destinations.extend((0..1_000).map(lost));
    report.status = Status::Incomplete;
    let page = page(&report);
    let page = read(&page);
    assert_eq!(all(one(page.root(), "section", "bytes"), "tr", "lost").len(), 1_000);
    let reasons = texts(&all(one(page.root(), "header", ""), "li", ""));
    let why = "1000 bytes for log 0, log 1, log 2 and 997 more destinations did not arrive.";
    assert_eq!(reasons[0], why);
}

#[test]
fn page_nests_children_with_all_their_sections_and_opens_those_that_are_incomplete() {
    let page = page(&family());
    let page = read(&page);
    let section = one(page.root(), "section", "children");
    let children = all(section, "details", "");
    let summary = |child: &Node<'_, '_>| text(one(*child, "bdi", "name"));
    let names: Vec<_> = children.iter().map(summary).collect();
    assert_eq!(names, ["web", "inner", "pool"]);
    let open: Vec<_> = children.iter().map(|child| child.attribute("open").is_some()).collect();
    assert_eq!(open, [true, true, false]);
    assert!(children.iter().all(|child| !all(*child, "section", "bytes").is_empty()));
    let note = text(one(lane(&page, "web"), "small", ""));
    assert_eq!(note, "incomplete · begun 300 µs before, by another thread");
    let reasons = texts(&all(one(page.root(), "header", ""), "li", ""));
    assert_eq!(reasons, ["Not everything could be done in web."]);
}
