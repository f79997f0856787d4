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
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if let Some(stat) = stat(pid) {
                children.entry(stat[1] as u32).or_default().push(pid);
            }
        }
        let mut usage = Self::default();
        let mut pending = roots;
        while let Some(pid) = pending.pop() {
            pending.extend(children.get(&pid).into_iter().flatten());
            if let Some(stat) = stat(pid) {
                // utime, stime, cutime, cstime in ticks of a hundredth of a second.
                usage.cpu_seconds += stat[11..15].iter().sum::<i64>() as f64 / 100.0;
            }
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(|rest| rest.split_whitespace().next());
            usage.pss_bytes += pss.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024;
        }
        usage
    }
}

/// The fields of /proc/PID/stat from the state on, as numbers (the state itself is 0).
fn stat(pid: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = text.rsplit_once(") ")?.1;
    let fields: Vec<i64> = after.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    (fields.len() > 15).then_some(fields)
}
