//! One measurement: so many of something.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::ensure;
use rustix::process::{Resource, getrlimit};

use super::{
    Curve,
    customers::{self, Login},
};
use crate::{
    lab::{Lab, Upstream, free_port},
    load::{self, Wrk},
    measure::{Measured, requests},
    memory,
    page::{SMALL, SMALL_BYTES},
    program::{Output, Program},
    running::Running,
    subject::{Subject, local},
    usage,
};

/// So many of what the curve says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) curve: Curve,
    pub(super) count: u32,
}

impl Point {
    /// CPU time of a request in µs, requests in a second, and resident memory at most in MiB; of a program started for it.
    pub(super) async fn measure(
        self,
        lab: &Lab,
        login: &Login,
        subject: &Subject,
        seconds: u32,
    ) -> anyhow::Result<Measured> {
        self.check_limit()?;
        let running = self.start(lab, login, subject).await?;
        if self.curve == Curve::Customers {
            customers::sign_in(&running, self.count).await?;
        }
        let mut idle = memory::idle_clients(&running, self.idle()).await?;
        let script = lab.dir().join("spread.lua");
        fs::write(&script, include_str!("../load/spread.lua"))?;
        let told = self.spread();
        let load = Wrk {
            connections: self.connections(),
            script: told.as_ref().map(|told| (script.as_path(), &told[..])),
            ..Wrk::new((SMALL, SMALL_BYTES))
        };
        let load = |seconds| load::wrk(&running, load, seconds);
        let mut measured = requests(lab, &running, seconds, load).await?;
        let peak = usage::memory(running.program.group(), usage::PEAK)?;
        measured.values.push(peak);
        // It has kept them all.
        memory::ask(&mut idle, &running).await?;
        running.program.check()?;
        Ok(measured)
    }

    async fn start(self, lab: &Lab, login: &Login, subject: &Subject) -> anyhow::Result<Running> {
        let address = local(free_port()?);
        let config = lab.dir().join("curve.toml");
        fs::write(&config, self.config(lab, login)?)?;
        let mut command = Command::new(&subject.program);
        command
            .args(["serve", "--listen", &address.to_string(), "--config"])
            .arg(config);
        let log = lab.dir().join("curve.log");
        let program = Program::start(&mut command, &log, Output::Logged)?;
        let below = match self.curve {
            Curve::Customers => customers::below(0),
            Curve::Routes | Curve::Connections | Curve::Idle => String::new(),
        };
        let links = format!("http://{address}{below}");
        let mut running = Running::new(program, address, address, origin(lab), links);
        running.wait_until_right(&format!("{below}{SMALL}")).await?;
        Ok(running)
    }

    fn config(self, lab: &Lab, login: &Login) -> anyhow::Result<String> {
        let audience = "https://api.securitycenter.microsoft.com";
        let route = |prefix: &str| {
            format!(
                "[[route]]\nprefix = '{prefix}'\nupstream = '{}'\naudience = '{audience}'\n",
                origin(lab)
            )
        };
        if self.curve == Curve::Customers {
            return Ok(login.config(self.count) + &route("/"));
        }
        let mut rest = "[upstream]\nca = '@CA@'\n".to_owned() + &route("/");
        if self.curve == Curve::Routes {
            for number in 1..self.count {
                let _ = write!(rest, "{}", route(&format!("/route-{number:05}/")));
            }
        }
        lab.stand_ins.config(&rest, &lab.dir().join("ca.pem"))
    }

    /// What stands before the number in a path, how many there are, and what stands behind it.
    fn spread(self) -> Option<[String; 3]> {
        let before = match self.curve {
            Curve::Customers => "/t/c",
            // What has no route of its own, as the first, takes that of all the rest.
            Curve::Routes => "/route-",
            Curve::Connections | Curve::Idle => return None,
        };
        Some([before.to_owned(), self.count.to_string(), SMALL.to_owned()])
    }

    fn connections(self) -> u32 {
        match self.curve {
            Curve::Connections => self.count,
            Curve::Customers | Curve::Routes | Curve::Idle => CONNECTIONS,
        }
    }

    fn idle(self) -> u32 {
        if self.curve == Curve::Idle {
            self.count
        } else {
            0
        }
    }

    /// Without this many files the program would take fewer connections than are asked of it.
    fn check_limit(self) -> anyhow::Result<()> {
        let limit = getrlimit(Resource::Nofile).current;
        let needed = 2 * u64::from(self.connections() + self.idle()) + 1000;
        ensure!(
            limit.is_none_or(|limit| limit >= needed),
            "{needed} open files are needed: raise the hard limit (ulimit -Hn)"
        );
        Ok(())
    }
}

fn origin(lab: &Lab) -> String {
    format!("https://127.0.0.1:{}", lab.port(Upstream::Http1))
}

/// Of clients, where their number isn't what grows.
const CONNECTIONS: u32 = 64;
