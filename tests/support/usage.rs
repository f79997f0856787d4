//! What processes and all their descendants cost, read from /proc.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;

/// CPU used so far and memory held now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time, of children that have ended too.
    pub cpu_seconds: f64,
    /// Proportional set size: memory shared by n processes counts as an nth at each.
    pub pss_bytes: u64,
}

impl Usage {
    /// Of these processes and their descendants together.
    pub fn of(roots: Vec<u32>) -> Self {
        let family = family(&roots);
        Self { cpu_seconds: family.iter().map(|&pid| cpu(pid)).sum(), pss_bytes: family.iter().map(|&pid| pss(pid)).sum() }
    }
}

/// These processes and all their descendants.
pub fn family(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(stat) = stat(pid) {
            children.entry(stat[1] as u32).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut pending = roots.to_vec();
    while let Some(pid) = pending.pop() {
        pending.extend(children.get(&pid).into_iter().flatten());
        found.push(pid);
    }
    found
}

/// User and system time of one process in seconds, with that of its children that have ended; 0 if it is gone.
pub fn cpu(pid: u32) -> f64 {
    // utime, stime, cutime, cstime in ticks of a hundredth of a second.
    stat(pid).map_or(0.0, |stat| stat[11..15].iter().sum::<i64>() as f64 / 100.0)
}

/// User and system time of this process alone in seconds.
pub fn own_cpu() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| stat[11..13].iter().sum::<i64>() as f64 / 100.0)
}

/// The proportional set size of one process in bytes; 0 if it is gone.
pub fn pss(pid: u32) -> u64 {
    kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The resident set size of one process in bytes, now.
pub fn rss(pid: u32) -> u64 {
    kibibytes(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The largest it was since [`forget_peak`].
pub fn peak_rss(pid: u32) -> u64 {
    kibibytes(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Begins a new peak with what the process holds now.
pub fn forget_peak(pid: u32) -> std::io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// The field of this name in bytes; 0 if there is none.
fn kibibytes(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next());
    value.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The fields of /proc/PID/stat from the state on, as numbers (the state itself is 0).
fn stat(pid: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = text.rsplit_once(") ")?.1;
    let fields: Vec<i64> = after.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    (fields.len() > 15).then_some(fields)
}
