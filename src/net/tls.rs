//! TLS settings, out and in. The only place that makes keys, trusts certificates or names the cryptography: aws-lc-rs.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// An encrypted connection to a next hop.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;
/// An encrypted connection from a client.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Where distributions keep the certificates of public authorities (Debian, then Red Hat).
const SYSTEM_BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Why certificates or keys cannot be used. Each text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check that it exists and that the user of Mailweir may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file holds no certificate or key in PEM form.
    #[error("{path} holds no {wanted} in PEM form (\"-----BEGIN …-----\"); {hint}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error(
        "certificate {certificate} and key {key} cannot be used together: {what}; put the server's own certificate first in the file, and give the key that it was requested with"
    )]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        what: String,
    },
    /// The self-signed certificate cannot be made or kept.
    #[error("cannot keep a self-signed certificate in {path}: {source}; check that the user of Mailweir may write there")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The cryptography refused: a fault of ours or of the host name.
    #[error("cannot make TLS settings: {0}")]
    Refused(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn refused(error: impl std::fmt::Display) -> TlsError {
    TlsError::Refused(error.to_string())
}

/// Whether the next hop's certificate matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate will do. The other choice is no encryption at all (RFC 7435), so a check could only make matters worse.
    Anyone,
    /// It must be valid for the host's name, and signed by an authority of the CA file.
    Verified,
}

/// TLS towards next hops.
#[derive(Debug, Clone)]
pub struct ClientTls {
    anyone: Arc<ClientConfig>,
    /// `Err`: there are no authorities to trust, and what to do.
    verified: Result<Arc<ClientConfig>, String>,
}

impl ClientTls {
    /// Authorities from `ca_file` (PEM), or from the system's bundle.
    ///
    /// # Errors
    /// `ca_file` cannot be used. A missing system bundle is no error here: only verified connections fail then, and say so.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let anyone = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider()))).with_no_client_auth();
        let bundle = ca_file.or_else(|| SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()));
        let verified = match bundle {
            Some(path) => match authorities(path) {
                Ok(roots) => Ok(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth())),
                Err(error) if ca_file.is_some() => return Err(error),
                Err(error) => Err(error.to_string()),
            },
            None => {
                Err("there are no certificates of authorities on this machine: install the package ca-certificates, or set ca_file"
                    .to_owned())
            }
        };
        Ok(Self { anyone: Arc::new(anyone), verified })
    }

    /// Starts TLS as the client of `host` (a name or an address), after the answer to STARTTLS.
    pub async fn connect(&self, trust: Trust, host: &str, stream: TcpStream) -> io::Result<ClientStream> {
        let config = match trust {
            Trust::Anyone => self.anyone.clone(),
            Trust::Verified => self.verified.clone().map_err(io::Error::other)?,
        };
        let name = match (ServerName::try_from(host.to_owned()), trust) {
            (Ok(name), _) => name,
            // No valid name to send, and none to check: the address does (it is never sent).
            (Err(_), Trust::Anyone) => ServerName::from(stream.peer_addr().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.ip())),
            (Err(_), Trust::Verified) => return Err(io::Error::other(format!("{host} is no name that a certificate could bear"))),
        };
        tokio_rustls::TlsConnector::from(config).connect(name, stream).await
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(refused)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(TlsError::NotPem { path: path.into(), wanted: "usable certificate", hint: "give the authorities' certificates" });
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })?;
    let not_pem = || TlsError::NotPem {
        path: path.into(),
        wanted: "certificate",
        hint: "convert it with: openssl x509 -inform der -in FILE -out FILE.pem",
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| not_pem())?;
    if found.is_empty() { Err(not_pem()) } else { Ok(found) }
}

/// Takes every certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS towards clients: STARTTLS on our listeners.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Certificate chain (the server's own first) and private key, both PEM; they may lie in one file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let pem = fs::read(key).map_err(|source| TlsError::Unreadable { path: key.into(), source })?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NotPem {
            path: key.into(),
            wanted: "private key",
            hint: "a key with a passphrase must be stored without: openssl pkey -in KEY -out KEY.pem",
        })?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| TlsError::Unusable { certificate: certificate.into(), key: key.into(), what: error.to_string() })?;
        Ok(Self { config: Arc::new(config) })
    }

    /// The self-signed certificate in `dir`; made on first start, and kept so that peers see the same one after a restart.
    ///
    /// Files: `self-signed.crt` and `self-signed.key` (mode 0600).
    pub fn self_signed(dir: &Path, hostname: &str) -> Result<Self, TlsError> {
        let (certificate, key) = (dir.join("self-signed.crt"), dir.join("self-signed.key"));
        if !(certificate.exists() && key.exists()) {
            let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()]).map_err(refused)?;
            fs::create_dir_all(dir).map_err(|source| TlsError::Unwritable { path: dir.into(), source })?;
            keep(&key, &made.signing_key.serialize_pem(), 0o600)?;
            keep(&certificate, &made.cert.pem(), 0o644)?;
        }
        Self::load(&certificate, &key)
    }

    /// The finished configuration.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Starts TLS as the server, after our answer to STARTTLS. The caller sets the deadline.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<ServerStream<S>> {
        tokio_rustls::TlsAcceptor::from(self.config.clone()).accept(stream).await
    }
}

/// Writes beside and renames, so that no half file is ever found.
fn keep(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| TlsError::Unwritable { path: path.into(), source })
}

/// Protocol and cipher suite of a session, for Received fields and records: `TLSv1.3 TLS13_AES_256_GCM_SHA384`.
pub fn describe<S>(stream: &ServerStream<S>) -> String {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    match session.negotiated_cipher_suite() {
        Some(suite) => format!("{version} {:?}", suite.suite()),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// One handshake and one byte; the server's view of it, or the client's error.
    async fn shake(server: ServerTls, client: ClientTls, trust: Trust, host: &str) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = server.accept(stream).await?;
            stream.read_u8().await?;
            Ok::<_, io::Error>(describe(&stream))
        });
        let mut stream = client.connect(trust, host, TcpStream::connect(address).await?).await?;
        stream.write_u8(1).await?;
        stream.flush().await?;
        serving.await?
    }

    #[tokio::test]
    async fn self_signed_is_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        ServerTls::self_signed(&dir, "mx1.example").unwrap();
        let first = fs::read(dir.join("self-signed.crt")).unwrap();
        let server = ServerTls::self_signed(&dir, "mx1.example").unwrap();
        assert_eq!(fs::read(dir.join("self-signed.crt")).unwrap(), first);
        assert_eq!(fs::metadata(dir.join("self-signed.key")).unwrap().permissions().mode() & 0o777, 0o600);

        let client = ClientTls::new(None).unwrap();
        let seen = shake(server.clone(), client.clone(), Trust::Anyone, "wrong_name.example").await.unwrap();
        assert!(seen.starts_with("TLSv1.3 TLS13_"), "{seen}");
        assert!(shake(server.clone(), client, Trust::Verified, "mx1.example").await.is_err(), "not signed by an authority");
        let knowing = ClientTls::new(Some(&dir.join("self-signed.crt"))).unwrap();
        assert!(shake(server.clone(), knowing.clone(), Trust::Verified, "mx1.example").await.is_ok());
        assert!(shake(server, knowing, Trust::Verified, "mx2.example").await.is_err(), "another name");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        ServerTls::self_signed(&path("a"), "a.example").unwrap();
        ServerTls::self_signed(&path("b"), "b.example").unwrap();
        fs::write(path("text"), "not a certificate").unwrap();
        let (crt, key, other) = (path("a/self-signed.crt"), path("a/self-signed.key"), path("b/self-signed.key"));
        for (certificate, key, file, advice) in [
            (path("absent"), key.clone(), "absent", "check that it exists"),
            (path("text"), key.clone(), "text", "openssl x509"),
            (crt.clone(), path("text"), "text", "openssl pkey"),
            (crt.clone(), path("absent"), "absent", "check that it exists"),
            (crt.clone(), other, "b/self-signed.key", "that it was requested with"),
        ] {
            let text = ServerTls::load(&certificate, &key).unwrap_err().to_string();
            assert!(text.contains(file) && text.contains(advice), "{text}");
        }
        assert!(ClientTls::new(Some(&path("text"))).unwrap_err().to_string().contains("text"));
        let text = ServerTls::self_signed(&path("text"), "a.example").unwrap_err().to_string();
        assert!(text.contains("may write there"), "{text}");
    }
}
