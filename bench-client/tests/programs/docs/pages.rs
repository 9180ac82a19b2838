//! The documentation as data: the pages of the repository, what each links to, and the commands
//! that it tells people to type. Shared with the command line's own test, which parses those.

#![allow(
    dead_code,
    reason = "each of its two users reads its own part of a page"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    here.canonicalize().expect("the repository is there")
}

/// Folders that are built, downloaded or recorded, and hold no page of ours.
const SKIPPED: [&str; 6] = [
    "target",
    ".git",
    "node_modules",
    ".data",
    "runs",
    "baselines",
];

/// Every file below `folder` whose name ends in one of `endings`, as paths from the root.
pub(crate) fn files(folder: &Path, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let path = path.strip_prefix(root()).expect("it is below the root");
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A block of commands.
#[derive(Debug)]
pub(crate) struct Block {
    /// `sh`: can be run as it is, in order, in an empty folder. `bash` and `console` name files,
    /// servers or rights that the reader has.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// A page of Markdown.
#[derive(Debug)]
pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Targets of links and pictures.
    pub(crate) links: Vec<String>,
    /// The anchors of its headings, as GitHub makes them.
    pub(crate) anchors: BTreeSet<String>,
    pub(crate) blocks: Vec<Block>,
    /// What stands between backticks.
    pub(crate) code: Vec<String>,
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).expect("a page");
        let mut page = Self {
            path: path.to_owned(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
            blocks: Vec::new(),
            code: Vec::new(),
            text: text.clone(),
        };
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some(Block {
                        language: language.into_string(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(text) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }

    fn anchor(&mut self, heading: &str) {
        let kept = heading
            .trim()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        let slug = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let taken = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone())
            .chain(taken)
            .find(|slug| !self.anchors.contains(slug));
        self.anchors.extend(free);
    }

    /// The commands of its blocks, each in one line.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&Block, String)> {
        let shells = ["sh", "bash", "console"];
        let blocks = self.blocks.iter();
        blocks
            .filter(move |block| shells.contains(&block.language.as_str()))
            .flat_map(|block| {
                let joined = block.text.replace("\\\n", " ");
                let lines: Vec<String> = joined.lines().map(|line| prompt(block, line)).collect();
                lines.into_iter().map(move |line| (block, line))
            })
            .filter(|(_, line)| !line.trim().is_empty())
    }
}

/// A line without the prompt that a console shows before it.
fn prompt(block: &Block, line: &str) -> String {
    if block.language == "console" {
        let typed = line.strip_prefix("# ").or(line.strip_prefix("$ "));
        return typed.unwrap_or_default().to_owned();
    }
    line.to_owned()
}

/// The arguments of this program in a line of shell; none when the line starts another one.
pub(crate) fn arguments(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line)?;
    let set = |word: &String| word.contains('=') && !word.starts_with('-');
    let mut words = words.into_iter().skip_while(set);
    let mut arguments = match words.next()?.as_str() {
        "bench-client" | "busload" => Vec::new(),
        "sqlite-rpc-server" => vec!["serve".to_owned(), "http".to_owned()],
        "sqlite-ws-rpc-server" => vec!["serve".to_owned(), "ws".to_owned()],
        "cargo" => {
            let built: Vec<String> = words.by_ref().take_while(|word| word != "--").collect();
            let ours = built.first().is_some_and(|word| word == "run")
                && built.iter().any(|word| word == "bench-client");
            if !ours || built.iter().any(|word| word == "--example") {
                return None;
            }
            Vec::new()
        }
        _ => return None,
    };
    let ends = [">", ">>", "|", "||", "&&", "&", ";"];
    arguments.extend(words.take_while(|word| !ends.contains(&word.as_str())));
    Some(arguments)
}

/// The path of a link from `page`, from the root; none when it leads elsewhere.
pub(crate) fn follow(page: &str, link: &str) -> Option<PathBuf> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, _) = link.split_once('#').unwrap_or((link, ""));
    if path.is_empty() {
        return Some(PathBuf::from(page));
    }
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut plain = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    Some(plain)
}
