//! `keystill certs`: a small certificate authority for delivery.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

use keystill::deliver::{Authority, CertificateError, Leaf, Purpose};
use keystill::random::Purpose::KeyBits;
use keystill::random::{Draw, OperatingSystem, RandomSource};

use super::{Exit, Failure, OrExit};

/// What to do about files that are there.
const REPLACE: &str = "remove it, and what was made with it, if it is to be replaced";

/// The authority's files in its folder.
const AUTHORITY: &str = "ca";

/// Make the certificates of key delivery: an authority, servers, clients.
///
/// `init` makes the authority, `server` a certificate for a key management entity, `client` one for an
/// application. Each is a pair NAME.pem and NAME.key in the folder; keys are PKCS#8 and readable by their
/// owner only. Clients trust ca.pem; keep ca.key off the servers.
///
/// Example: keystill certs init && keystill certs server kme-a --host localhost --host 127.0.0.1 &&
///          keystill certs client sae-alice
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    make: Make,
}

#[derive(Debug, clap::Subcommand)]
enum Make {
    /// Make a certificate authority.
    ///
    /// Example: keystill certs init --dir certs --name "Site A"
    #[command(verbatim_doc_comment)]
    Init {
        /// The folder; made if it is not there.
        #[arg(long, default_value = "certs", value_name = "DIR")]
        dir: PathBuf,
        /// The authority's name.
        #[arg(long, default_value = "keystill authority")]
        name: String,
        /// Days until it ends.
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Make a certificate for a key management entity.
    ///
    /// Example: keystill certs server kme-a --host kme-a.example --host 192.0.2.1
    #[command(verbatim_doc_comment)]
    Server {
        /// The KME ID: its common name, and the files' name.
        id: String,
        /// A host name or an address that clients connect to; may be repeated.
        #[arg(long = "host", required = true, value_name = "NAME|ADDRESS")]
        hosts: Vec<String>,
        #[command(flatten)]
        leaf: LeafArgs,
    },
    /// Make a certificate for an application.
    ///
    /// Example: keystill certs client sae-alice
    #[command(verbatim_doc_comment)]
    Client {
        /// The SAE ID: its common name, and the files' name.
        id: String,
        /// A host name for its alternative names, if the server takes IDs from there; may be repeated.
        #[arg(long = "host", value_name = "NAME|ADDRESS")]
        hosts: Vec<String>,
        #[command(flatten)]
        leaf: LeafArgs,
    },

    /// Make the key under which a site's front-ends keep keys in a database.
    ///
    /// Example: keystill certs site-key --dir certs
    #[command(verbatim_doc_comment)]
    SiteKey {
        /// The folder; made if it is not there.
        #[arg(long, default_value = "certs", value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct LeafArgs {
    /// The authority's folder; the new files go there too.
    #[arg(long, default_value = "certs", value_name = "DIR")]
    dir: PathBuf,
    /// Days until it ends; some clients refuse more than 825.
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.make {
        Make::Init { dir, name, days } => {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string()).or_exit(Exit::Storage)?;
            let authority = Authority::new(name, *days).or_exit(Exit::Configuration)?;
            write_pair(dir, AUTHORITY, (authority.certificate(), authority.key()))
        }
        Make::Server { id, hosts, leaf } => issue(Purpose::Server, id, hosts, leaf),
        Make::Client { id, hosts, leaf } => issue(Purpose::Client, id, hosts, leaf),
        Make::SiteKey { dir } => site_key(dir),
    }
}

fn issue(purpose: Purpose, id: &str, hosts: &[String], args: &LeafArgs) -> Result<(), Failure> {
    let good = !id.is_empty() && id != AUTHORITY && !id.contains(['/', '\\', '\0']) && !id.starts_with('.');
    if !good {
        let error = anyhow!("`{id}` names the files too: no slash, no leading dot, not `{AUTHORITY}`");
        return Err(Failure::new(Exit::Usage, error));
    }
    let authority = authority(&args.dir)?;
    let made: Result<Leaf, CertificateError> = authority.issue(purpose, id, hosts, args.days);
    let leaf = made.or_exit(Exit::Configuration)?;
    write_pair(&args.dir, id, (&leaf.certificate, &leaf.key))
}

fn authority(dir: &Path) -> Result<Authority, Failure> {
    let read = |ending: &str| {
        let path = dir.join(AUTHORITY).with_extension(ending);
        std::fs::read_to_string(&path)
            .map_err(|error| {
                let told = error.kind() == std::io::ErrorKind::NotFound;
                let make = if told { "; make an authority first: keystill certs init" } else { "" };
                anyhow::Error::from(error).context(format!("authority {}{make}", path.display()))
            })
            .or_exit(Exit::Configuration)
    };
    let (certificate, key) = (read("pem")?, Zeroizing::new(read("key")?));
    Authority::from_pem(&certificate, &key).or_exit(Exit::Configuration)
}

fn site_key(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string()).or_exit(Exit::Storage)?;
    let mut key = Zeroizing::new([0; 32]);
    let draw = Draw { block: 0, purpose: KeyBits, index: 0 };
    OperatingSystem.draw(draw, &mut *key).or_exit(Exit::Internal)?;
    write(&dir.join("site.key"), &*key, 0o600)
}

/// Writes NAME.pem and NAME.key; never over files that are there, and never one of them beside another's.
fn write_pair(dir: &Path, name: &str, (certificate, key): (&str, &str)) -> Result<(), Failure> {
    let file = |ending: &str| dir.join(format!("{name}.{ending}"));
    if let Some(there) = ["key", "pem"].map(file).iter().find(|path| path.exists()) {
        return Err(Failure::new(Exit::Storage, anyhow!("{} is there; {REPLACE}", there.display())));
    }
    for (ending, text, mode) in [("key", key, 0o600), ("pem", certificate, 0o644)] {
        write(&file(ending), text.as_bytes(), mode)?;
    }
    Ok(())
}

/// Writes a file; never over one that is there.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options
        .open(path)
        .map_err(|error| {
            let there = error.kind() == std::io::ErrorKind::AlreadyExists;
            let replace = if there { format!(" is there; {REPLACE}") } else { String::new() };
            anyhow::Error::from(error).context(format!("{}{replace}", path.display()))
        })
        .or_exit(Exit::Storage)?;
    file.write_all(bytes).with_context(|| path.display().to_string()).or_exit(Exit::Storage)?;
    println!("{}", path.display());
    Ok(())
}
