//! What to measure, from the command line: `make bench BENCH="--only latency,idle --rounds 1"`.

use std::time::Duration;

use crate::contestants::Kind;

/// The parts of a run, in their order.
pub const PARTS: [&str; 6] = ["load", "large", "latency", "idle", "single", "many"];

const HELP: &str = "\
quick                  one short round of everything: to see that it works, not for its figures
--only PART,…          load, large, latency, idle, single, many; default: all
--contestants NAME,…   for the part load: those whose name begins so, such as postfix,cut; default: all
--loads NAME,…         for the part load: 4, mix; default: both
--connections N,…      for the part load; default: 20,200
--rounds N             rounds whose median counts; default: 3
--seconds N            sending time of one round; default: 2";

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub quick: bool,
    pub only: Vec<String>,
    pub contestants: Vec<String>,
    pub loads: Vec<String>,
    pub connections: Vec<usize>,
    pub rounds: usize,
    pub time: Duration,
}

impl Options {
    /// Reads them; an error is what to tell the person.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            only: PARTS.map(str::to_owned).to_vec(),
            contestants: vec![String::new()],
            loads: vec![String::new()],
            connections: vec![20, 200],
            rounds: 3,
            time: Duration::from_secs(2),
        };
        let mut arguments = arguments.filter(|argument| argument != "--bench"); // cargo says that to every benchmark
        while let Some(name) = arguments.next() {
            if ["quick", "--quick"].contains(&name.as_str()) {
                (options.quick, options.rounds, options.time) = (true, 1, Duration::from_secs(1));
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name}: no such option, or its value is missing\n{HELP}"))?;
            let list = || value.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
            let wrong = || format!("{name} {value}: not a number\n{HELP}");
            match name.as_str() {
                "--only" => options.only = list(),
                "--contestants" => options.contestants = list(),
                "--loads" => options.loads = list(),
                "--connections" => {
                    options.connections = list().iter().map(|item| item.parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
                }
                "--rounds" => options.rounds = value.parse::<usize>().map_err(|_| wrong())?.max(1),
                "--seconds" => options.time = Duration::try_from_secs_f64(value.parse().map_err(|_| wrong())?).map_err(|_| wrong())?,
                _ => return Err(format!("{name}: no such option\n{HELP}")),
            }
        }
        if let Some(unknown) = options.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
            return Err(format!("--only {unknown}: no such part\n{HELP}"));
        }
        Ok(options)
    }

    /// Whether this part runs.
    pub fn part(&self, name: &str) -> bool {
        self.only.iter().any(|part| part == name)
    }

    /// Whether only some of the load was asked for, so that figures for its goals are missing.
    pub fn narrowed(&self) -> bool {
        let everybody = Kind::ALL.into_iter().all(|kind| self.takes_part(kind));
        let everything =
            self.sends("4 KiB") && self.sends("mix") && [20, 200].iter().all(|connections| self.connections.contains(connections));
        !everybody || !everything
    }

    /// Whether this one takes part in the load.
    pub fn takes_part(&self, kind: Kind) -> bool {
        self.contestants.iter().any(|name| kind.name().starts_with(name.as_str()))
    }

    /// Whether this set is sent in the part load.
    pub fn sends(&self, set: &str) -> bool {
        self.loads.iter().any(|name| set.starts_with(name.as_str()))
    }
}
