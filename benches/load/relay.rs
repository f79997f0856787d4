//! The bare byte relay: a process of its own that connects each session to the sink and copies bytes both ways. The most that any relay
//! could do on this machine, with this sender and this receiver.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::net::{TcpListener, TcpStream};

use crate::contestants::Process;

/// The argument with which this program becomes the relay.
pub const ARGUMENT: &str = "--relay-to";

/// Starts this program again as a relay to `sink`.
pub fn start(sink: SocketAddr) -> Result<(Process, SocketAddr), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(sink.to_string()).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let mut line = String::new();
    let out = process.stdout().ok_or("no output")?;
    BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
    let address = line.trim().parse().map_err(|_| format!("the relay said {line:?}"))?;
    Ok((process, address))
}

/// The relay itself: says where it listens, then copies until it is killed.
pub async fn run(sink: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut inside, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut outside = TcpStream::connect(sink).await?;
            inside.set_nodelay(true)?;
            outside.set_nodelay(true)?;
            tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, 64 << 10, 4 << 10).await
        });
    }
}
