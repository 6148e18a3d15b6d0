//! As whom a Linux container runs: its pod's word before its image's, names looked up in the image's `/etc/passwd` and `/etc/group`.
//!
//! The rules are Docker's and the kubelet's. Deliberately absent: user namespaces.

use super::spec::Security;

/// A user as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
    /// Where it is at home.
    pub(crate) home: String,
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The user, or why there is none: for people.
pub(crate) fn resolve(image_user: &str, security: &Security, passwd: &str, group: &str) -> Result<User, String> {
    let (user, user_group) = match image_user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (image_user, None),
    };
    let account = match (security.user, user.parse::<u32>()) {
        (Some(uid), _) | (None, Ok(uid)) => accounts(passwd).find(|account| account.uid == uid),
        (None, Err(_)) if user.is_empty() => accounts(passwd).find(|account| account.uid == 0),
        (None, Err(_)) => {
            let account = accounts(passwd).find(|account| account.name == user);
            Some(account.ok_or_else(|| {
                format!("the image's user {user:?} is not in its /etc/passwd; set securityContext.runAsUser")
            })?)
        }
    };
    let uid = security.user.or_else(|| user.parse().ok()).or(account.as_ref().map(|account| account.uid)).unwrap_or(0);
    if security.is_non_root && uid == 0 {
        return Err("container has runAsNonRoot and image will run as root; set securityContext.runAsUser".to_owned());
    }
    let of_image = match user_group.filter(|_| security.user.is_none()) {
        None => None,
        Some(name) => {
            Some(group_id(name, group).ok_or_else(|| format!("the image's group {name:?} is not in its /etc/group"))?)
        }
    };
    let gid = security.group.or(of_image).or(account.as_ref().map(|account| account.gid)).unwrap_or(0);
    let mut groups = security.groups.clone();
    if let (Some(account), None) = (&account, of_image) {
        groups.extend(groups_of(account.name, group).filter(|other| *other != gid));
    }
    groups.sort_unstable();
    groups.dedup();
    let home = account.map(|account| account.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(User { uid, gid, groups, home })
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Account { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    })
}

/// Name, number and members of each line of `/etc/group`.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        Some((name, gid.parse().ok()?, members))
    })
}

fn group_id(name: &str, group: &str) -> Option<u32> {
    name.parse().ok().or_else(|| groups(group).find(|(known, ..)| *known == name).map(|(_, gid, _)| gid))
}

fn groups_of<'a>(user: &'a str, group: &'a str) -> impl Iterator<Item = u32> + 'a {
    groups(group).filter(move |(.., members)| members.split(',').any(|member| member == user)).map(|(_, gid, _)| gid)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:101:102::/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:102:\nlogs:x:200:root,web\n";

    fn check(image_user: &str, security: Security, expected: Expect) {
        let shown = match resolve(image_user, &security, PASSWD, GROUP) {
            Ok(User { uid, gid, groups, home }) => format!("{uid}:{gid} {groups:?} {home}"),
            Err(why) => why,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_image_names_a_user() {
        let security = Security::default;
        check("", security(), expect!["0:0 [200] /root"]);
        check("web", security(), expect!["101:102 [200] /srv"]);
        check("101", security(), expect!["101:102 [200] /srv"]);
        check("4000", security(), expect!["4000:0 [] /"]);
        check("web:logs", security(), expect!["101:200 [] /srv"]);
        check("7:8", security(), expect!["7:8 [] /"]);
        check(
            "ghost",
            security(),
            expect![[r#"the image's user "ghost" is not in its /etc/passwd; set securityContext.runAsUser"#]],
        );
        check("web:ghosts", security(), expect![[r#"the image's group "ghosts" is not in its /etc/group"#]]);
    }

    #[test]
    fn the_pod_has_the_last_word() {
        check("web:logs", Security { user: Some(0), ..Security::default() }, expect!["0:0 [200] /root"]);
        check("web", Security { user: Some(9), group: Some(8), ..Security::default() }, expect!["9:8 [] /"]);
        check(
            "web",
            Security { group: Some(8), groups: vec![5, 200], ..Security::default() },
            expect!["101:8 [5, 200] /srv"],
        );
        let non_root = Security { is_non_root: true, ..Security::default() };
        check("web", non_root.clone(), expect!["101:102 [200] /srv"]);
        check(
            "",
            non_root,
            expect!["container has runAsNonRoot and image will run as root; set securityContext.runAsUser"],
        );
    }
}
