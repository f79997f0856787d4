//! Where figures are written down, and read again by the goals.

use serde_json::{Value, json};

use crate::contestants::Kind;

/// What one round measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// Messages delivered a second.
    pub rate: f64,
    /// CPU time of all processes of the contestant per message, in milliseconds.
    pub cpu_ms: f64,
    /// PSS of all of them together, the largest of the samples taken under load, in MiB.
    pub pss_mib: f64,
    /// The same without the virus engine.
    pub own_pss_mib: f64,
    /// CPU time of sender and sink per message, in milliseconds.
    pub bench_ms: f64,
    /// Share of all cores that sender and sink used.
    pub bench_share: f64,
}

/// Which rounds belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub kind: Kind,
    pub set: &'static str,
    pub connections: usize,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Book {
    rounds: Vec<(Cell, Result<Round, String>)>,
    figures: Vec<(String, f64, &'static str)>,
}

impl Book {
    /// Writes down one round, or why there is none.
    pub fn round(&mut self, cell: Cell, round: Result<Round, String>) {
        if let Err(reason) = &round {
            println!("  {} with {} over {} connections FAILED: {reason}", cell.kind.name(), cell.set, cell.connections);
        }
        self.rounds.push((cell, round));
    }

    /// Writes down and prints one figure.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let name = name.into();
        println!("  {name:<64} {} {unit}", plain(value));
        self.figures.push((name, value, unit));
    }

    /// One figure by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.0 == name).map(|figure| figure.1)
    }

    /// The median over the rounds of a cell that went well; `None` if any failed: what lost a message has no rate.
    pub fn median(&self, cell: Cell, of: fn(&Round) -> f64) -> Option<f64> {
        let rounds: Vec<_> = self.rounds.iter().filter(|(at, _)| *at == cell).map(|(_, round)| round.as_ref().ok().map(of)).collect();
        let mut values = rounds.into_iter().collect::<Option<Vec<f64>>>()?;
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// The median beside that of Postfix with the same load, or of Postfix + rspamd + clamd for what scans.
    fn ratio(&self, cell: Cell, of: fn(&Round) -> f64) -> Option<f64> {
        let base = Cell { kind: if cell.kind.scans() { Kind::PostfixRspamd } else { Kind::Postfix }, ..cell };
        Some(self.median(cell, of)? / self.median(base, of)?)
    }

    /// A table of one load: medians, and ratios to the contestant that each is measured against.
    pub fn table(&self, set: &'static str, connections: usize) {
        println!("\n{set}, {connections} connections: medians; ratios to Postfix, for what scans to Postfix + rspamd + clamd");
        println!(
            "{:<22} {:>9} {:>10} {:>8} {:>8} {:>7} {:>7} {:>7} {:>10} {:>6}",
            "", "msg/s", "CPU ms/msg", "PSS MiB", "own MiB", "rate x", "CPU x", "PSS x", "bench ms", "bench"
        );
        for kind in Kind::ALL {
            let cell = Cell { kind, set, connections };
            let Some(rate) = self.median(cell, |round| round.rate) else { continue };
            let get = |of: fn(&Round) -> f64| self.median(cell, of).unwrap_or(f64::NAN);
            let times = |of: fn(&Round) -> f64| self.ratio(cell, of).map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            println!(
                "{:<22} {rate:>9.0} {:>10.3} {:>8.1} {:>8.1} {:>7} {:>7} {:>7} {:>10.3} {:>5.0}%",
                kind.name(),
                get(|round| round.cpu_ms),
                get(|round| round.pss_mib),
                get(|round| round.own_pss_mib),
                times(|round| round.rate),
                times(|round| round.cpu_ms),
                times(|round| round.pss_mib),
                get(|round| round.bench_ms),
                get(|round| round.bench_share) * 100.0,
            );
        }
    }

    /// Everything as JSON, one object a line.
    pub fn json(&self) -> Vec<Value> {
        let mut cells: Vec<Cell> = Vec::new();
        for (cell, _) in &self.rounds {
            if !cells.contains(cell) {
                cells.push(*cell);
            }
        }
        let lines = cells.into_iter().map(|cell| {
            let failed: Vec<&String> =
                self.rounds.iter().filter(|(at, _)| *at == cell).filter_map(|(_, round)| round.as_ref().err()).collect();
            json!({
                "contestant": cell.kind.name(), "load": cell.set, "connections": cell.connections,
                "rounds": self.rounds.iter().filter(|(at, _)| *at == cell).count(), "failed": failed,
                "messages_per_second": self.median(cell, |round| round.rate),
                "cpu_ms_per_message": self.median(cell, |round| round.cpu_ms),
                "pss_mib": self.median(cell, |round| round.pss_mib),
                "own_pss_mib": self.median(cell, |round| round.own_pss_mib),
                "rate_ratio": self.ratio(cell, |round| round.rate),
                "cpu_ratio": self.ratio(cell, |round| round.cpu_ms),
                "pss_ratio": self.ratio(cell, |round| round.pss_mib),
                "bench_cpu_ms_per_message": self.median(cell, |round| round.bench_ms),
                "bench_cpu_share": self.median(cell, |round| round.bench_share),
            })
        });
        lines.chain(self.figures.iter().map(|(name, value, unit)| json!({"figure": name, "value": value, "unit": unit}))).collect()
    }
}

/// A number as people write it: about three digits that count.
pub fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
