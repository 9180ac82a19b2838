use super::*;

fn at(width: usize) -> Layout {
    Layout {
        width: Some(width),
        verbose: false,
        colour: false,
    }
}

fn document() -> Document {
    let rows = [("one", 1_234_567_u64), ("another", 89)];
    let mut document = Document::new("Title");
    document.verdict("Slower: it took longer than it did before by quite a bit");
    let mut facts = Facts::default();
    facts.add("machine", "of a name that is longer than a line of 40 µs");
    facts.add("two", "first").add("", "second");
    document.facts(facts);
    document.table(
        Table::of("Rows", &rows)
            .words(0, "row", |row| row.0)
            .number(0, "TPS", |row| row.1)
            .number(2, "a column of less weight", |row| row.1)
            .number(3, "another such", |row| row.1)
            .prose(1, "found", |_| "a sentence that is wrapped")
            .number(0, "nothing", |_| None::<u64>),
    );
    document
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_word_is_broken() {
    let whole = write(&document(), Layout::default());
    for width in [40, 60, 80, 100, 160] {
        let text = write(&document(), at(width));
        for line in text.lines() {
            assert!(display_width(line) <= width, "{width}: {line:?}\n{text}");
        }
        for word in text
            .split_whitespace()
            .filter(|word| !word.starts_with('─'))
        {
            assert!(
                whole.split([' ', '\n']).any(|known| known == word)
                    || text.contains("Not shown at this width"),
                "{word} in\n{text}"
            );
        }
        // A terminal shows its end.
        assert!(
            text.lines()
                .last()
                .is_some_and(|line| whole.contains(line.trim()))
        );
        let (_, below) = text.split_once("TPS").expect("it is never left out");
        assert!(below.contains("1,234,567"), "{text}");
    }
    assert!(!whole.contains("nothing"), "{whole}");
}

#[test]
fn a_narrow_column_stays_where_a_wider_one_of_a_lower_rank_has_no_room() {
    let table: Table = Table::of("Rows", &[1_u64])
        .number(0, "TPS", |row| *row)
        .words(1, "limit", |_| "a limit of many words")
        .number(2, "runs", |row| *row)
        .words(3, "connector", |_| "another of words")
        .into();
    let shown = write_table(&table, at(15));
    assert!(
        shown.contains("runs") && shown.ends_with("limit,\nconnector."),
        "{shown}"
    );
    let shown = write_table(&table, at(36));
    assert!(
        shown.contains("runs") && shown.ends_with(": connector."),
        "{shown}"
    );
}

/// Takes the colours out of a text again.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    first + &rest.collect::<String>()
}

#[test]
fn a_coloured_table_is_the_plain_one_with_colours() {
    let verdict = |place: &usize| match place {
        0 => Line::default().mark(Tone::Bad, "INVALID: fake"),
        1 => Line::default().mark(Tone::Warn, "at least").plain(" this"),
        2 => Line::default().mark(Tone::Good, "faster"),
        _ => "as before".into(),
    };
    let table: Table = Table::of("Rows", &[0, 1, 2, 3])
        .words(0, "row", |place| format!("row {place}"))
        .number(0, "TPS", |place| Line::default().strong(1_000 * place))
        .words(0, "verdict", verdict)
        .prose(1, "found", |_| {
            let word = Line::default().mark(Tone::Bad, "slower by more than it was before");
            word.plain(", and wrapped")
        })
        .into();
    for width in [18, 40, 60, 80, 160] {
        let coloured = Layout {
            colour: true,
            ..at(width)
        };
        let text = write_table(&table, coloured);
        // The rule may be longer, within the width.
        let rows = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('─'));
            lines.map(str::to_owned).collect()
        };
        let shown = plain(&text);
        assert_eq!(
            rows(&shown),
            rows(&write_table(&table, at(width))),
            "{width}"
        );
        let widest = shown.lines().map(display_width).max();
        assert!(widest <= Some(width), "{width}\n{shown}");
        assert!(text.contains("\u{1b}[31mINVALID:"), "{width}\n{text}");
        assert!(
            text.contains("\u{1b}[32mfaster\u{1b}[0m"),
            "{width}\n{text}"
        );
        let odd = |it: char| it == END || STAND_INS.iter().any(|(mark, _)| *mark == it);
        assert!(!text.contains(odd), "{text:?}");
    }
}

#[test]
fn columns_are_left_out_by_rank_and_named() {
    let text = write(&document(), at(70));
    assert!(
        text.contains("Not shown at this width: another such."),
        "{text}"
    );
    let text = write(&document(), at(40));
    let said = "a column of\nless weight, found.";
    assert!(text.contains(said), "{text}");
}

#[test]
fn figures_stand_to_the_right_and_what_does_not_fit_at_all_is_stacked() {
    let text = write(&document(), at(60));
    let ends = |figure: &str| {
        let mut lines = text.lines();
        let line = lines
            .find(|line| line.contains(figure))
            .expect("it is there");
        line.find(figure).expect("it is there") + figure.len()
    };
    assert_eq!(ends("1,234,567"), ends(" 89"), "{text}");
    let text = write(&document(), at(18));
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert!(lines.any(|words| words == ["TPS", "1,234,567"]), "{text}");
    assert!(!text.contains("Not shown"), "{text}");
}
