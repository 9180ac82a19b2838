//! Who imports whom: the table in `docs/ARCHITECTURE.md` against the code.
//!
//! A room is a file or folder right below the `src` of the program, of `record` or of
//! `generator`; `audit` is one room. Every path counts that begins at the crate's
//! root, whether it stands in a `use` or is written in full; what is compiled for tests only does
//! not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// For each room the rooms that it imports.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The heading above the table.
const HEADING: &str = "## Who imports whom";

/// The packages whose files and folders are rooms.
const PACKAGES: [&str; 3] = ["src", "record/src", "generator/src"];
/// The package that is one room, and what the program calls it.
const AUDIT: (&str, &str) = ("audit/src", "torture");

fn in_the_code() -> Arrows {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arrows = Arrows::new();
    for (path, room) in PACKAGES
        .iter()
        .flat_map(|package| modules(&here.join(package)))
    {
        read(&path, &room, arrows.entry(room.clone()).or_default());
    }
    let (package, name) = AUDIT;
    let inside = modules(&here.join(package));
    let mut imported = BTreeSet::new();
    for (path, module) in &inside {
        read(path, module, &mut imported);
    }
    imported.retain(|other| inside.iter().all(|(_, module)| module != other));
    arrows.insert(name.to_owned(), imported);
    // Whatever else is at a crate's root is no room.
    let rooms: BTreeSet<String> = arrows.keys().cloned().collect();
    for imported in arrows.values_mut() {
        imported.retain(|other| rooms.contains(other));
    }
    arrows
}

/// The files and folders right below a crate's root.
fn modules(source: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(source).expect("the sources are here");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let named = paths.map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        (path.clone(), name.into_owned())
    });
    named
        .filter(|(_, name)| !["lib", "main"].contains(&name.as_str()))
        .collect()
}

fn read(path: &Path, room: &str, imported: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            read(&entry.expect("a name").path(), room, imported);
        }
        return;
    }
    if path.extension().is_none_or(|ending| ending != "rs") {
        return;
    }
    let name = path.file_stem().expect("a name").to_string_lossy();
    // Modules that are declared for tests only.
    if name == "tests" || name.ends_with("_tests") {
        return;
    }
    let text = std::fs::read_to_string(path).expect("text");
    let tokens: TokenStream = text.parse().expect("Rust");
    scan(tokens, imported);
    imported.remove(room);
}

/// Finds `crate::room` and `crate::{room, …}`, as well by the crate's name.
fn scan(tokens: TokenStream, imported: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at = end_of_item(&tokens, at + 2);
            continue;
        }
        if let (TokenTree::Ident(root), true) = (&tokens[at], colons(&tokens, at + 1))
            && [
                "crate",
                "bench_client",
                "busload_record",
                "busload_generator",
            ]
            .iter()
            .any(|name| root == name)
        {
            match tokens.get(at + 3) {
                Some(TokenTree::Ident(room)) => {
                    imported.insert(room.to_string());
                }
                Some(TokenTree::Group(several)) => {
                    let mut first = true;
                    for token in several.stream() {
                        match token {
                            TokenTree::Ident(room) if first => {
                                imported.insert(room.to_string());
                                first = false;
                            }
                            TokenTree::Punct(comma) if comma.as_char() == ',' => first = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if let TokenTree::Group(group) = &tokens[at] {
            scan(group.stream(), imported);
        }
        at += 1;
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))
}

/// `#[cfg(test)]`
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    hash.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Behind the item that begins here: its body, or its semicolon.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let end = tokens[from..].iter().position(|token| match token {
        TokenTree::Group(body) => body.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    });
    end.map_or(tokens.len(), |end| from + end + 1)
}

fn in_the_table() -> Arrows {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ARCHITECTURE.md");
    let text = std::fs::read_to_string(file).expect("the map is here");
    let (_, section) = text.split_once(HEADING).expect("the table has its heading");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let named = |cell: &str| -> Vec<String> {
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let room = named(cells[0]).pop().expect("a room in backticks");
        (room, named(cells[1]).into_iter().collect())
    })
    .collect()
}

#[test]
fn the_table_is_what_the_code_imports() {
    let (code, table) = (in_the_code(), in_the_table());
    assert!(code.len() > 10 && code.values().any(|rooms| rooms.len() > 5));
    let mut wrong = Vec::new();
    for room in code.keys().chain(table.keys()).collect::<BTreeSet<_>>() {
        let none = BTreeSet::new();
        let [does, may] = [&code, &table].map(|arrows| arrows.get(room).unwrap_or(&none));
        for other in does.difference(may) {
            wrong.push(format!(
                "{room} imports {other}, and the table does not have it"
            ));
        }
        for other in may.difference(does) {
            wrong.push(format!(
                "the table lets {room} import {other}, and it does not"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_room_imports_itself_through_others() {
    let arrows = in_the_code();
    for room in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = arrows[room].iter().collect();
        while let Some(other) = next.pop() {
            if reached.insert(other) {
                next.extend(arrows.get(other).into_iter().flatten());
            }
        }
        assert!(
            !reached.contains(room),
            "{room} imports itself through {reached:?}"
        );
    }
}

/// The reader itself.
#[test]
fn imports_are_found_wherever_they_stand() {
    let text =
        "use crate::{a::B, c}; fn f() { crate::d::g(); let _ = bench_client :: e; m!(crate::h) }
                #[cfg(test)] mod tests { use crate::not_this; } #[cfg(test)] use crate::nor_this;
                #[cfg(unix)] use crate::i;";
    let mut found = BTreeSet::new();
    scan(text.parse().expect("Rust"), &mut found);
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["a", "c", "d", "e", "h", "i"]);
}
