//! A connection whose peer must take what it is sent within a time.
//!
//! A client that asks and never reads, or reads a byte now and then, would otherwise hold its answer, its keys and its
//! place among the connections for as long as it likes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream that fails once what was written to it is not sent for too long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Set while something waits to be sent: progress alone does not move it.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, due: None }
    }

    /// What came of an attempt to send; a time-out if the peer had all the time there is.
    fn judge<T>(&mut self, tried: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            return tried;
        }
        let patience = self.patience;
        let due = self.due.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        due.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(tried, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(cx);
        if tried.is_ready() {
            // All of the answer is sent: the next one has its own time.
            self.due = None;
        }
        self.judge(tried, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(tried, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(tried, cx)
    }

    /// As the stream: without it, hyper would copy keys into a buffer that nobody wipes.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Sends more than fits on the way to a peer that reads a little and waits, over and over.
    async fn send(pause: Duration) -> io::Result<()> {
        let (near, mut far) = duplex(256);
        let mut stream = Patient::new(near, Duration::from_millis(400));
        let reader = tokio::spawn(async move {
            while let Ok(1..) = far.read(&mut [0; 16]).await {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        });
        let sent = stream.write_all(&[7; 4096]).await;
        reader.abort();
        sent
    }

    #[test]
    fn a_peer_has_its_time_and_no_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
        runtime.block_on(async {
            assert!(send(Duration::ZERO).await.is_ok(), "who reads gets all");
            for slow in [Duration::from_secs(3600), Duration::from_millis(30)] {
                let told = send(slow).await.expect_err("too slow");
                assert_eq!(told.kind(), io::ErrorKind::TimedOut, "{slow:?}");
            }
        });
    }
}
