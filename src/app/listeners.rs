//! Where a server listens, and what it answers there.

use std::net::SocketAddr;

use axum::Router as Routes;
use tokio::net::TcpListener;

use super::StartError;
use super::room::Room;
use crate::api::{self, Api, Audience, Guard};
use crate::config::{AdminListener, MetricsListen, ServerConfig};
use crate::system::descriptors;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Inference.
    pub http: SocketAddr,
    /// The admin routes; the same as `http` while that is loopback.
    pub admin: SocketAddr,
    /// Inference over gRPC, where there is that.
    pub grpc: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: SocketAddr,
}

/// One for each kind of audience that has its own.
#[derive(Debug)]
pub(super) struct Listeners {
    http: TcpListener,
    grpc: Option<TcpListener>,
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
    pub(super) addresses: Addresses,
    room: Room,
}

impl Listeners {
    pub(super) async fn bind(config: &ServerConfig) -> Result<Self, StartError> {
        let http = listen("inference", "--http", config.http.listen).await?;
        let grpc = match config.grpc.listen {
            None => None,
            Some(address) => Some(listen("gRPC", "--grpc", address).await?),
        };
        let admin = match config.admin_listener() {
            AdminListener::OnHttp => None,
            AdminListener::Own(address) => {
                Some(listen("the admin routes", "--admin", address).await?)
            }
        };
        let metrics = match config.metrics.listen {
            MetricsListen::SameAsAdmin => None,
            MetricsListen::Addr(address) => {
                Some(listen("metrics", "`metrics.listen`", address).await?)
            }
        };
        let http_address = http.local_addr().map_err(StartError::Threads)?;
        let address = |listener: &Option<TcpListener>, otherwise| {
            listener.as_ref().and_then(|listener| listener.local_addr().ok()).unwrap_or(otherwise)
        };
        let admin_address = address(&admin, http_address);
        let metrics_address = address(&metrics, admin_address);
        let addresses = Addresses {
            http: http_address,
            admin: admin_address,
            grpc: grpc.as_ref().and_then(|listener| listener.local_addr().ok()),
            metrics: metrics_address,
        };
        let room = Room::within(descriptors::raise_limit(), config.http.max_connections);
        Ok(Self { http, grpc, admin, metrics, addresses, room })
    }

    /// The one for gRPC, where there is one, and how many may be connected to it.
    pub(super) fn take_grpc(&mut self) -> Option<(TcpListener, usize)> {
        self.grpc.take().map(|listener| (listener, self.room.callers))
    }

    /// Each other one with what it answers, and how many may be connected to it.
    pub(super) fn with_routes(
        self,
        api: &Api,
        guard: Guard,
    ) -> impl Iterator<Item = (TcpListener, Routes, usize)> {
        use Audience::{Clients, Operators, Scrapers};
        let Self { http, grpc: _, admin, metrics, addresses, room } = self;
        let routes = |audiences: &[Audience], guard| api::routes(api.clone(), audiences, guard);
        let http_is_for: &[Audience] = match admin {
            None => &[Clients, Operators, Scrapers],
            Some(_) => &[Clients],
        };
        let of_metrics = Guard::of_metrics(addresses.metrics);
        let http = (http, routes(http_is_for, guard.clone()), room.clients);
        let admin =
            admin.map(|admin| (admin, routes(&[Operators, Scrapers], guard), room.operators));
        let metrics = metrics.map(|it| (it, routes(&[Scrapers], of_metrics), room.operators));
        [Some(http), admin, metrics].into_iter().flatten()
    }
}

async fn listen(
    what: &'static str,
    flag: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Listen {
        what,
        address,
        flag,
        cause,
    })
}
