//! From a name to addresses that a connection may be made to.
//!
//! The client asks here once for each connection, and connects to what it is given. So there is no moment between
//! the check of an address and its use in which a name could come to mean another (DNS rebinding).

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address::{self, AddressRefused};
use crate::config::Network;

/// Addresses of one name that are tried. More only take longer to fail.
const MAX_ADDRESSES: usize = 8;

/// How names are looked up.
pub(super) type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// Looks names up as the machine is configured to.
pub(super) fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    // The port is replaced by the client.
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Of one plugin's version.
pub(super) struct Resolver {
    pub lookup: Lookup,
    pub networks: Arc<[Network]>,
    /// Threads that may wait for a name server at one time. A lookup cannot be interrupted, and holds its place
    /// also when nobody waits for it any more.
    pub places: Arc<Semaphore>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, networks, places) = (self.lookup, self.networks.clone(), self.places.clone());
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let looked_up = tokio::task::spawn_blocking(move || {
                let _place = place;
                lookup(name.as_str())
            });
            let addresses = reachable(looked_up.await??, &networks)?;
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Those that a connection may be made to; if there are none, why not.
fn reachable(addresses: Vec<IpAddr>, networks: &[Network]) -> Result<Vec<IpAddr>, AddressRefused> {
    let mut reachable = Vec::new();
    let mut refused = None;
    for address in addresses {
        match address::check(address, networks) {
            Ok(()) => reachable.push(address),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    reachable.truncate(MAX_ADDRESSES);
    match refused {
        Some(refusal) if reachable.is_empty() => Err(refusal),
        _ => Ok(reachable),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn resolver(lookup: Lookup, networks: &[&str]) -> Resolver {
        let networks = networks.iter().map(|network| Network::parse(network).unwrap()).collect();
        Resolver { lookup, networks, places: Arc::new(Semaphore::new(1)) }
    }

    async fn resolve(resolver: &Resolver) -> Result<Vec<String>, String> {
        let resolved = resolver.resolve("a.example".parse().unwrap()).await;
        match resolved {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(fault) => Err(fault.downcast::<AddressRefused>().expect("a refusal").kind.to_owned()),
        }
    }

    #[tokio::test]
    async fn of_several_addresses_those_are_left_out_that_may_not_be_reached() {
        let mixed: Lookup = |_| Ok(["10.0.0.1", "1.1.1.1", "::1"].map(|text| text.parse().unwrap()).to_vec());
        assert_eq!(resolve(&resolver(mixed, &[])).await, Ok(vec!["1.1.1.1".to_owned()]));
        assert_eq!(resolve(&resolver(mixed, &["::1"])).await, Ok(vec!["1.1.1.1".to_owned(), "::1".to_owned()]));
        let inside: Lookup = |_| Ok(["::1", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec());
        assert_eq!(resolve(&resolver(inside, &[])).await, Err("loopback (RFC 4291)".to_owned()));
    }

    #[tokio::test]
    async fn a_name_that_changes_its_meaning_is_judged_each_time_by_the_addresses_that_are_used() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let rebinding: Lookup = |_| {
            let address = if ASKED.fetch_add(1, Ordering::SeqCst) == 0 { "1.1.1.1" } else { "169.254.169.254" };
            Ok(vec![address.parse().unwrap()])
        };
        let resolver = resolver(rebinding, &[]);
        assert_eq!(resolve(&resolver).await, Ok(vec!["1.1.1.1".to_owned()]));
        assert_eq!(resolve(&resolver).await, Err("link-local (RFC 3927)".to_owned()));
        assert_eq!(ASKED.load(Ordering::SeqCst), 2, "one lookup for each connection, and none in between");
    }
}
