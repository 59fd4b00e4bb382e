//! Clients that ask again and again, each on a connection of its own.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// What the clients saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Answers a second.
    pub(super) per_second: f64,
    /// Milliseconds in which all but one of a hundred answers came.
    pub(super) p99: f64,
}

/// Asks for `path` of `host` over `connections` connections for some time. Any answer but 200 is a failure.
pub(super) fn run(at: SocketAddr, host: &str, path: &str, connections: usize, time: Duration) -> Result<Seen, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the clients: {error}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        let begin = Instant::now();
        for _ in 0..connections {
            clients.spawn(client(at, request.clone(), begin + time));
        }
        let mut times = Vec::new();
        while let Some(client) = clients.join_next().await {
            let seen = client.map_err(|error| error.to_string())?;
            times.extend(seen.map_err(|error| format!("{at}: {error}"))?);
        }
        let seconds = begin.elapsed().as_secs_f64();
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).ok_or_else(|| format!("{at}: no answers"))?;
        let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
        Ok(Seen { per_second: f64::from(count) / seconds, p99: f64::from(*p99) / 1000.0 })
    })
}

/// The microseconds that each answer took.
async fn client(at: SocketAddr, request: String, end: Instant) -> io::Result<Vec<u32>> {
    let mut stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::with_capacity(1 << 15);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let begin = Instant::now();
        if begin >= end {
            return Ok(times);
        }
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer).await?;
        times.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

/// Reads one answer to its end.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        filled += count;
        match length(&buffer[..filled])? {
            Some(length) if filled >= length => return Ok(()),
            _ if filled == buffer.len() => return Err(io::Error::other("the answer is too long")),
            _ => {}
        }
    }
}

/// How long an answer is, once its head is there.
fn length(seen: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&seen[..end]);
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(format!("answered {:?}", head.lines().next().unwrap_or_default())));
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let body = head.lines().find_map(header).ok_or_else(|| io::Error::other("the answer has no length"))?;
    Ok(Some(end + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap(), Some(40));
        assert!(length(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
