//! Clients that come in crowds, take their time, send without end or read nothing: whatever they do, those who ask properly
//! are answered meanwhile, and the server stays within bounds.

mod bodies;
mod crowds;
mod endless;
mod pipelined;
mod unread;
mod unwanted;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Connection, Finally, Models, TestServer, adder, row, whole};

/// A server whose model `m` adds 1.
fn server(settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    TestServer::with_models(models).settings(settings).start()
}

/// Clients who ask properly, on connections that they keep and on new ones.
struct Good<'s> {
    server: &'s TestServer,
    kept: Vec<Connection>,
}

impl<'s> Good<'s> {
    fn of(server: &'s TestServer) -> Self {
        Self { server, kept: (0..4).map(|_| server.connect()).collect() }
    }

    /// Each of them asks once, and so does a newcomer.
    #[track_caller]
    fn ask(&mut self) {
        let mut newcomer = self.server.connect();
        for (number, connection) in self.kept.iter_mut().chain([&mut newcomer]).enumerate() {
            let answer = connection.ask(&row("m"));
            let answer = answer.unwrap_or_else(|error| panic!("number {number}: {error}"));
            assert_eq!(whole(&answer), Ok(("1".to_owned(), 1.0)));
        }
    }

    /// They ask again and again while something is done, at least so often.
    #[track_caller]
    fn ask_during(&mut self, times: usize, act: impl FnOnce() + Send) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _over = Finally(|| is_over.store(true, Ordering::Relaxed));
                act();
            });
            let mut asked = 0;
            while asked < times || !is_over.load(Ordering::Relaxed) {
                self.ask();
                asked += 1;
            }
        });
    }
}

/// How many connections a process has open.
fn connections(server: &TestServer) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}
