//! Where and how it was measured.

use super::words::{joined, said, shell_line};
use crate::figures::grouped;
use crate::host::environment::Environment;
use crate::record::Row;
use crate::render::document::{Document, Facts, Line};

/// Machine, storage, program and command.
pub(super) fn facts(environment: &Environment) -> Facts {
    let Environment {
        machine,
        storage,
        program,
        ..
    } = environment;
    let known = |text: &Option<String>, what: &str| {
        let text = text.as_ref().map(|text| text.trim().to_owned());
        Some(text.unwrap_or_else(|| format!("unknown {what}")))
    };
    let cores = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let (logical, usable) = (cores(machine.logical_cores), cores(machine.usable_cores));
    let memory = machine.memory_bytes.map(|bytes| grouped(bytes / (1 << 20)));
    let processor = [
        known(&machine.cpu_model, "processor"),
        Some(format!("{logical} cores, {usable} usable")),
        machine
            .cpu_quota_cores
            .map(|quota| format!("a quota of {quota}")),
        machine
            .cpu_governor
            .as_ref()
            .map(|governor| format!("governor {governor}")),
        machine
            .cpu_boost
            .map(|on| if on { "boost on" } else { "boost off" }.to_owned()),
        Some(format!(
            "memory {}",
            memory.map_or("unknown".to_owned(), |mib| mib + " MiB")
        )),
        machine
            .load_average_1m
            .map(|load| format!("load average before {load:.2}")),
    ];
    let built = [
        &program.version,
        &program.git_revision,
        &program.profile,
        &program.target,
        &program.rustc,
    ];
    let built = built.map(|part| Some(part.clone()));
    let file_system = known(&storage.file_system, "file system").unwrap_or_default();
    let source = known(&storage.mount_source, "device").unwrap_or_default();
    let devices = storage.block_devices.iter().map(|device| {
        let told = [&device.model, &device.scheduler, &device.write_cache];
        format!("{} ({})", device.name, joined(", ", told.map(Clone::clone)))
    });
    let options = Some(storage.mount_options.join(",")).filter(|options| !options.is_empty());
    let code = |words: String| Line::default().code(words);
    let mut facts = Facts::default();
    facts.add("Command", code(shell_line(&environment.command_line)));
    facts.add("Started", environment.started_at.as_str());
    facts.add(
        "Program",
        format!("{}, allocator {}", joined(", ", built), program.allocator),
    );
    facts.add("Machine", joined(", ", processor));
    if !environment.preload.is_empty() {
        facts.add("Preloaded", code(environment.preload.join(" ")));
    }
    let system = [
        known(&machine.os, "system"),
        known(&machine.kernel, "kernel"),
    ];
    facts.add("System", joined(", ", system));
    let mounted = joined(", ", [Some(format!("{file_system} on {source}")), options]);
    let on = std::iter::once(mounted).chain(devices);
    facts.add("Storage", on.collect::<Vec<_>>().join("; "));
    if let Some(sqlite) = &environment.sqlite {
        let pragmas = sqlite
            .pragmas
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        facts.add("SQLite", sqlite.version.as_str());
        facts.add("Pragmas", code(pragmas.collect::<Vec<_>>().join(" ")));
    }
    for (place, warning) in environment.warnings.iter().enumerate() {
        let name = if place == 0 { "Warnings" } else { "" };
        facts.add(name, said(false, None, &warning.message, &warning.remedy));
    }
    facts
}

/// Pragmas of the rows whose server had other ones than the first.
pub(super) fn other_pragmas(environment: &Environment, rows: &[Row]) -> Document {
    let first = environment.sqlite.as_ref();
    let same = |name: &String, value: &String| {
        first.and_then(|first| first.pragmas.get(name)) == Some(value)
    };
    let others = rows.iter().filter_map(|row| {
        let pragmas = row.server.as_ref()?.pragmas.iter();
        let differing = pragmas.filter(|(name, value)| !same(name, value));
        let differing: Vec<String> = differing
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let name = row.config.name.clone();
        let name = name.unwrap_or_else(|| row.config.subject());
        let line = Line::from(format!("{name} ({}): ", row.durability_and_apply()));
        (!differing.is_empty()).then(|| line.code(differing.join(" ")))
    });
    let mut document = Document::new("Rows with other pragmas");
    document.list(others.collect());
    document
}
