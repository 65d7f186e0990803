//! TLS of the data plane by rustls.

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

pub use tokio_rustls::TlsAcceptor as Acceptor;

/// Makes the TLS side from PEM texts; HTTP/2 and HTTP/1.1 are offered.
///
/// # Errors
/// What is wrong with the certificate or the key. Never holds key text.
pub fn acceptor(cert_pem: &str, key_pem: &str) -> Result<Acceptor, String> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert_pem.as_bytes()).collect();
    let certs = certs.map_err(|_| "the certificate is not in PEM form".to_owned())?;
    if certs.is_empty() {
        return Err("the certificate file holds no certificate".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| "the key is not in PEM form".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, key));
    let mut config = config.map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from(Arc::new(config)))
}
