//! Where and how it was measured.

use super::row::said;
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
        text.as_deref()
            .map_or_else(|| format!("unknown {what}"), |text| text.trim().to_owned())
    };
    let cores = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let with = |before: &str, known: Option<String>| {
        known.map_or_else(String::new, |text| format!("{before}{text}"))
    };
    let mut facts = Facts::default();
    facts.add(
        "Command",
        Line::default().code(environment.command_line.join(" ")),
    );
    facts.add("Started", environment.started_at.as_str());
    facts.add(
        "Program",
        format!(
            "{}, {}, {}, {}, {}, allocator {}",
            program.version,
            program.git_revision,
            program.profile,
            program.target,
            program.rustc,
            program.allocator
        ),
    );
    facts.add(
        "Machine",
        format!(
            "{}, {} cores, {} usable{}{}{}, {}{}",
            known(&machine.cpu_model, "processor"),
            cores(machine.logical_cores),
            cores(machine.usable_cores),
            with(
                " under a quota of ",
                machine.cpu_quota_cores.map(|quota| quota.to_string())
            ),
            with(", governor ", machine.cpu_governor.clone()),
            with(
                ", boost ",
                machine
                    .cpu_boost
                    .map(|on| if on { "on" } else { "off" }.to_owned())
            ),
            machine.memory_bytes.map_or_else(
                || "unknown memory".to_owned(),
                |bytes| format!("memory {} MiB", grouped(bytes / (1 << 20)))
            ),
            with(
                ", load average before ",
                machine.load_average_1m.map(|load| format!("{load:.2}"))
            ),
        ),
    );
    if !environment.preload.is_empty() {
        facts.add(
            "Preloaded",
            Line::default().code(environment.preload.join(" ")),
        );
    }
    facts.add(
        "System",
        format!(
            "{}, {}",
            known(&machine.os, "system"),
            known(&machine.kernel, "kernel")
        ),
    );
    let devices = storage.block_devices.iter().map(|device| {
        let told = [&device.model, &device.scheduler, &device.write_cache];
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        format!("; {} ({})", device.name, told.join(", "))
    });
    let options = storage.mount_options.join(",");
    facts.add(
        "Storage",
        format!(
            "{} on {}{}{}",
            known(&storage.file_system, "file system"),
            known(&storage.mount_source, "device"),
            with(", ", Some(options).filter(|options| !options.is_empty())),
            devices.collect::<String>()
        ),
    );
    if let Some(sqlite) = &environment.sqlite {
        facts.add("SQLite", sqlite.version.as_str());
        let pragmas = sqlite
            .pragmas
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        facts.add(
            "Pragmas",
            Line::default().code(pragmas.collect::<Vec<_>>().join(" ")),
        );
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
        let name = row.config.name.as_deref();
        let name = name.unwrap_or(row.config.connector.as_str());
        let line = Line::from(format!("{name} ({}): ", row.durability_and_apply()));
        (!differing.is_empty()).then(|| line.code(differing.join(" ")))
    });
    let mut document = Document::new("Rows with other pragmas");
    document.list(others.collect());
    document
}
