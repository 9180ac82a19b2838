//! Who looks on while states are judged.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::crash_states::{Image, Watch, write_image};

/// Most contents that are told apart, of 8 bytes each.
const DISTINCT_MAX: usize = 1_000_000;
/// Images of bad states that are kept, of each replay.
const IMAGES_MAX: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) done: AtomicU64,
    pub(super) bad: AtomicU64,
}

/// How many different things there were.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    seen: HashSet<u64>,
    too_many: bool,
}

impl Distinct {
    /// Two contents with the same hash count as one: of a million, one pair in 40 million runs.
    fn take(&mut self, image: &Image) {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.len() < DISTINCT_MAX {
            self.seen.insert(hash);
        } else {
            self.too_many |= !self.seen.contains(&hash);
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        (!self.too_many).then_some(self.seen.len() as u64)
    }
}

/// Counts states, keeps the first bad ones, and ends the work when it is interrupted.
pub(super) struct Observer {
    pub(super) interrupted: watch::Receiver<bool>,
    pub(super) tally: Arc<Tally>,
    pub(super) distinct: Distinct,
    /// Where bad states are kept.
    pub(super) evidence: PathBuf,
    pub(super) images: u32,
    pub(super) part: u64,
}

impl Watch for Observer {
    fn judged(&mut self, image: &Image, why: Option<&str>) -> bool {
        self.distinct.take(image);
        if let Some(why) = why {
            self.tally.bad.fetch_add(1, Ordering::Relaxed);
            if self.images < IMAGES_MAX {
                self.images += 1;
                // What was found is in the record, too: a full disk is no reason to stop.
                let _ = self.keep(image, why);
            }
        }
        self.tally.done.fetch_add(1, Ordering::Relaxed);
        !*self.interrupted.borrow()
    }
}

impl Observer {
    fn keep(&self, image: &Image, why: &str) -> io::Result<()> {
        let name = format!("state-{}-{}.sqlite", self.part + 1, self.images);
        write_image(image, &self.evidence.join(&name))?;
        let list = self.evidence.join("states.txt");
        let mut list = File::options().create(true).append(true).open(list)?;
        writeln!(list, "{name}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_onlooker_counts_keeps_a_few_and_ends_when_told() {
        let directory = tempfile::tempdir().unwrap();
        let (tell, interrupted) = watch::channel(false);
        let mut observer = Observer {
            interrupted,
            tally: Arc::default(),
            distinct: Distinct::default(),
            evidence: directory.path().to_owned(),
            images: 0,
            part: 0,
        };
        let image = |byte| [Some(vec![byte]), None, Some(vec![9])];
        for n in 0..10 {
            let why = (n % 2 == 0).then_some("gone");
            assert!(observer.judged(&image(n % 3), why));
        }
        tell.send_replace(true);
        assert!(!observer.judged(&image(0), None));
        assert_eq!(observer.distinct.count(), Some(3));
        assert_eq!(observer.tally.done.load(Ordering::Relaxed), 11);
        assert_eq!(observer.tally.bad.load(Ordering::Relaxed), 5);
        let list = std::fs::read_to_string(directory.path().join("states.txt")).unwrap();
        assert_eq!(list.lines().count(), IMAGES_MAX as usize);
        assert_eq!(list.lines().next(), Some("state-1-1.sqlite: gone"));
        let journal = directory.path().join("state-1-1.sqlite-journal");
        assert_eq!(std::fs::read(journal).unwrap(), [9]);
    }
}
