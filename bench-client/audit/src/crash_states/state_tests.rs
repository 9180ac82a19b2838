//! The model of the disk against a list of all that it allows.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

use super::record::{Event, Role, Synced};
use super::state::{Disk, Fate, Image, Model};

const TINY: Model = Model {
    sector_bytes: 2,
    block_bytes: 2,
    removals_need_sync: true,
};

fn write(role: Role, offset: u64, data: &str) -> Event {
    let data = data.as_bytes().to_vec();
    Event::Written { role, offset, data }
}

fn sync(sync: u32, what: Synced) -> [Event; 2] {
    [Event::SyncBegan { sync, what }, Event::SyncEnded { sync }]
}

fn disk(base: Option<&str>, events: &[Event]) -> Disk {
    let base = [base.map(|text| text.as_bytes().to_vec()), None, None];
    let mut disk = Disk::new(TINY, &base);
    for event in events {
        disk.apply(event);
    }
    disk
}

fn random(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

fn shown(image: &Image) -> [Option<String>; 3] {
    image.each_ref().map(|file| {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).replace('\0', "0");
        file.as_ref().map(text)
    })
}

/// The database after a cut with this fate.
fn database(disk: &Disk, fate: Fate) -> Option<String> {
    let [database, _, _] = shown(&disk.image(fate, &mut random(1)));
    database
}

/// All that chance brings about in many draws.
fn drawn(disk: &Disk) -> BTreeSet<[Option<String>; 3]> {
    let mut random = random(7);
    let images: BTreeSet<_> = (0..12_000)
        .map(|_| disk.image(Fate::Each, &mut random))
        .collect();
    images.iter().map(shown).collect()
}

#[test]
fn only_what_a_sync_covers_is_durable() {
    let role = Role::Database;
    let disk = disk(
        Some("aaaa"),
        &[
            write(role, 0, "b"),
            Event::SyncBegan {
                sync: 0,
                what: Synced::File(role),
            },
            // Too late for this sync.
            write(role, 1, "c"),
            Event::SyncEnded { sync: 0 },
            write(role, 3, "d"),
        ],
    );
    let found = |fate| database(&disk, fate).unwrap();
    assert_eq!(disk.pending(), [1, 2]);
    assert_eq!(found(Fate::None), "baaa");
    assert_eq!(found(Fate::All), "bcad");
    assert_eq!(found(Fate::First(1)), "bcaa");
    assert_eq!(found(Fate::Only(2)), "baad");
    assert_eq!(found(Fate::But(2)), "bcaa");
}

#[test]
fn a_sync_that_has_not_returned_covers_nothing() {
    let role = Role::Log;
    let events = [
        Event::Created(role),
        write(role, 0, "x"),
        Event::SyncBegan {
            sync: 3,
            what: Synced::File(role),
        },
    ];
    let disk = disk(Some("a"), &events);
    let image = disk.image(Fate::None, &mut random(1));
    assert_eq!(shown(&image), [Some("a".to_owned()), None, None]);
}

#[test]
fn a_new_file_is_there_after_its_sync_or_its_directorys() {
    let create = [Event::Created(Role::Log), write(Role::Log, 0, "xy")];
    for (what, wanted) in [
        (Synced::File(Role::Log), Some("xy")),
        (Synced::Directory, Some("")),
        (Synced::Everything, Some("xy")),
        (Synced::File(Role::Database), None),
    ] {
        let events = [&create[..], &sync(0, what)].concat();
        let image = disk(Some("a"), &events).image(Fate::None, &mut random(1));
        assert_eq!(shown(&image)[1].as_deref(), wanted, "{what:?}");
    }
}

#[test]
fn a_removed_file_may_come_back_until_its_directory_is_synced() {
    let role = Role::Journal;
    let mut events = vec![Event::Created(role), write(role, 0, "j1")];
    events.extend(sync(0, Synced::File(role)));
    events.push(Event::Removed(role));
    let journal = |events: &[Event], fate| {
        let image = disk(Some("a"), events).image(fate, &mut random(1));
        shown(&image)[2].clone()
    };
    assert_eq!(journal(&events, Fate::None).as_deref(), Some("j1"));
    assert_eq!(journal(&events, Fate::All), None);
    // A new one under its name: the old one, none, or the new one.
    let mut again = events.clone();
    again.extend([Event::Created(role), write(role, 0, "j2")]);
    let found: BTreeSet<_> = drawn(&disk(Some("a"), &again))
        .into_iter()
        .map(|[_, _, journal]| journal)
        .collect();
    let wanted = [None, Some("j1"), Some(""), Some("j2"), Some("00")];
    assert_eq!(found, wanted.map(|text| text.map(str::to_owned)).into());
    again.extend(sync(1, Synced::File(role)));
    assert_eq!(journal(&again, Fate::None).as_deref(), Some("j2"));
    events.extend(sync(1, Synced::Directory));
    assert_eq!(journal(&events, Fate::None), None);
}

#[test]
fn removals_can_be_taken_as_durable_at_once() {
    let lax = Model {
        removals_need_sync: false,
        ..TINY
    };
    let base = [None, None, Some(b"j".to_vec())];
    let mut disk = Disk::new(lax, &base);
    assert!(disk.is_sync(&Event::Removed(Role::Journal)));
    disk.apply(&Event::Removed(Role::Journal));
    assert_eq!(disk.image(Fate::None, &mut random(1)), [None, None, None]);
}

/// One write over two sectors and a length: each sector old or new, and the file as long as
/// it was or as it becomes.
#[test]
fn all_that_may_become_of_one_write() {
    let disk = disk(Some("aaaa"), &[write(Role::Database, 2, "bbbb")]);
    let found: BTreeSet<_> = drawn(&disk)
        .into_iter()
        .map(|[file, _, _]| file.unwrap())
        .collect();
    let wanted = ["aaaa", "aabb", "aabbbb", "aaaabb", "aaaa00", "aabb00"];
    assert_eq!(found, wanted.map(str::to_owned).into());
    assert_eq!(database(&disk, Fate::Torn(0)).unwrap().len() % 2, 0);
}

/// Two writes to one sector: the second brings the first along, never the other way round.
#[test]
fn a_sector_has_one_version_at_a_time() {
    let disk = disk(
        Some("aa"),
        &[write(Role::Database, 0, "b"), write(Role::Database, 1, "c")],
    );
    let found: BTreeSet<_> = drawn(&disk)
        .into_iter()
        .map(|[file, _, _]| file.unwrap())
        .collect();
    assert_eq!(found, ["aa", "ba", "bc"].map(str::to_owned).into());
}

/// Two pages of two sectors in one block: the second brings the first along, or parts of it, and
/// the log's sectors stay by themselves.
#[test]
fn pages_that_share_a_block_go_to_the_disk_together() {
    let blocks = Model {
        block_bytes: 8,
        ..TINY
    };
    let on = |role: Role| {
        let mut base = [None, None, None];
        base[role.index()] = Some(b"aaaaaaaaaa".to_vec());
        let mut disk = Disk::new(blocks, &base);
        disk.apply(&write(role, 0, "bbbb"));
        disk.apply(&write(role, 4, "cccc"));
        disk
    };
    let database = |fate| {
        shown(&on(Role::Database).image(fate, &mut random(1)))[0]
            .clone()
            .unwrap()
    };
    assert_eq!(database(Fate::First(0)), "bbbbaaaaaa");
    assert_eq!(
        database(Fate::Only(1)),
        "bbbbccccaa",
        "the neighbour comes along"
    );
    let log = shown(&on(Role::Log).image(Fate::Only(1), &mut random(1)))[1].clone();
    assert_eq!(log.as_deref(), Some("aaaaccccaa"));
    // Torn: each sector of the block, also of the page that was not written, is old or new.
    let torn: BTreeSet<_> = (0..400)
        .map(|seed| {
            let image = on(Role::Database).image(Fate::Torn(1), &mut random(seed));
            shown(&image)[0].clone().unwrap()
        })
        .collect();
    let wanted = ["aa", "cc"].map(|first| ["aa", "cc"].map(|last| format!("bbbb{first}{last}aa")));
    assert_eq!(torn, wanted.into_iter().flatten().collect());
    let alone: BTreeSet<_> = drawn(&on(Role::Database))
        .into_iter()
        .map(|[file, _, _]| file.unwrap())
        .collect();
    let mut every = BTreeSet::new();
    for pair in 0..16_u32 {
        let part = |bit: u32, new: &str| {
            if pair & (1 << bit) == 0 {
                "aa".to_owned()
            } else {
                new.to_owned()
            }
        };
        every.insert(
            [
                part(0, "bb"),
                part(1, "bb"),
                part(2, "cc"),
                part(3, "cc"),
                "aa".to_owned(),
            ]
            .concat(),
        );
    }
    assert_eq!(alone, every, "chance brings about every choice by sectors");
}

#[derive(Debug, Clone)]
enum Op {
    Write(u64, String),
    Truncate(u64),
    Sync,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0_u64..5, "[b-z]{1,3}").prop_map(|(offset, data)| Op::Write(offset, data)),
        1 => (0_u64..6).prop_map(Op::Truncate),
        1 => Just(Op::Sync),
    ];
    prop::collection::vec(op, 0..6)
}

/// Every image that writes alone can leave, by trying all choices: for each sector one of the
/// versions that it had since the last sync, and every length that the model allows.
fn enumerated(base: &str, writes: &[(u64, String)]) -> BTreeSet<String> {
    let sector = TINY.sector_bytes;
    let mut cache = base.as_bytes().to_vec();
    // By sector, what it may hold; the first entry is that nothing of it is written back.
    let mut versions: Vec<Vec<Option<Vec<u8>>>> = vec![vec![None]; 8];
    for (offset, data) in writes {
        let offset = usize::try_from(*offset).unwrap();
        cache.resize(cache.len().max(offset + data.len()), 0);
        cache[offset..offset + data.len()].copy_from_slice(data.as_bytes());
        for (number, held) in versions.iter_mut().enumerate() {
            let (start, end) = (number * sector, (number + 1) * sector);
            if offset < end && start < offset + data.len() {
                held.push(Some(cache[start..end.min(cache.len())].to_vec()));
            }
        }
    }
    let mut images = BTreeSet::from([base.as_bytes().to_vec()]);
    for (number, held) in versions.iter().enumerate() {
        let choose = |image: Vec<u8>| {
            held.iter().map(move |version| {
                let mut image = image.clone();
                if let Some(version) = version {
                    let start = number * sector;
                    image.resize(image.len().max(start + version.len()), 0);
                    image[start..start + version.len()].copy_from_slice(version);
                }
                image
            })
        };
        images = images.into_iter().flat_map(choose).collect();
    }
    let longer = images.iter().map(|image| {
        let mut image = image.clone();
        image.resize(image.len().max(cache.len()), 0);
        image
    });
    let all: BTreeSet<_> = longer.chain(images.iter().cloned()).collect();
    all.into_iter()
        .map(|image| String::from_utf8_lossy(&image).replace('\0', "0"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chance_brings_about_all_that_may_be_and_nothing_else(
        base in "a{0,4}",
        writes in prop::collection::vec((0_u64..4, "[b-z]{1,3}"), 0..3),
    ) {
        let events: Vec<_> = writes
            .iter()
            .map(|(offset, data)| write(Role::Database, *offset, data))
            .collect();
        let found: BTreeSet<_> = drawn(&disk(Some(&base), &events))
            .into_iter()
            .map(|[file, _, _]| file.unwrap())
            .collect();
        prop_assert_eq!(found, enumerated(&base, &writes));
    }

    /// With everything kept, the file is what a file is.
    #[test]
    fn a_disk_that_loses_nothing_is_a_file(ops in ops()) {
        let mut file = b"aaa".to_vec();
        let mut disk = disk(Some("aaa"), &[]);
        let mut synced = file.clone();
        for (number, op) in (0_u32..).zip(&ops) {
            match op {
                Op::Write(offset, data) => {
                    let at = usize::try_from(*offset).unwrap();
                    file.resize(file.len().max(at + data.len()), 0);
                    file[at..at + data.len()].copy_from_slice(data.as_bytes());
                    disk.apply(&write(Role::Database, *offset, data));
                }
                Op::Truncate(length) => {
                    file.resize(usize::try_from(*length).unwrap(), 0);
                    disk.apply(&Event::Truncated { role: Role::Database, length: *length });
                }
                Op::Sync => {
                    for event in sync(number, Synced::File(Role::Database)) {
                        disk.apply(&event);
                    }
                    synced = file.clone();
                }
            }
            let image = |fate| disk.image(fate, &mut random(1))[0].clone().unwrap();
            prop_assert_eq!(image(Fate::All), file.clone());
            prop_assert_eq!(image(Fate::None), synced.clone());
        }
    }
}

/// Three frames in one write to the log: each is there or not, as if written by itself.
#[test]
fn a_write_of_many_frames_may_leave_the_first_of_them() {
    const FRAME: usize = 24 + 512;
    let mut header = vec![0; 32];
    header[8..12].copy_from_slice(&512_u32.to_be_bytes());
    let mut disk = Disk::new(Model::STRICT, &[None, Some(header), None]);
    let frames: Vec<u8> = [1, 2, 3].iter().flat_map(|&n| [n; FRAME]).collect();
    disk.apply(&Event::Written {
        role: Role::Log,
        offset: 32,
        data: frames,
    });
    assert_eq!(disk.pending(), [0, 1, 2]);
    // A sector that two frames share comes with the later one; cuts between sectors are torn.
    let log = |fate| {
        let [_, log, _] = disk.image(fate, &mut random(3));
        log.unwrap()
    };
    assert_eq!(log(Fate::None).len(), 32);
    assert_eq!(
        log(Fate::First(0)),
        [vec![0; 8], vec![0, 0, 2, 0], vec![0; 20], vec![1; FRAME]].concat()
    );
    let two = log(Fate::First(1));
    assert_eq!(two.len(), 32 + 2 * FRAME);
    assert!(two[32 + FRAME..].iter().all(|&byte| byte == 2));
    let only = log(Fate::Only(2));
    assert_eq!(only.len(), 32 + 3 * FRAME);
    assert!(only[32 + 2 * FRAME..].iter().all(|&byte| byte == 3));
    assert!(!only[..FRAME].contains(&1), "the first frame is not there");
}
