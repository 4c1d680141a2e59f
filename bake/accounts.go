package bake

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kiln/bake/template"
)

// The files of users and groups (passwd(5), group(5), shadow(5), gshadow(5)).
const (
	passwdFile  = "/etc/passwd"
	groupFile   = "/etc/group"
	shadowFile  = "/etc/shadow"
	gshadowFile = "/etc/gshadow"
)

// accountFiles in the order in which they are edited.
var accountFiles = []string{passwdFile, groupFile, shadowFile, gshadowFile}

// accounts are those files, by path, as lines of fields; one that is not there
// has no entry.
type accounts map[string][][]string

// maxAccounts bounds one of the files, in bytes.
const maxAccounts = 4 << 20

// addAccounts puts the declared users and groups into the files that lie
// below, and returns those that changed. What is there stays as it is; new
// lines follow in the order of their ids. An image without passwd gets one with
// root in it; without shadow nobody has a password there.
func addAccounts(below map[string][]byte, users []template.User, groups []template.Group) (map[string][]byte, error) {
	a := accounts{}
	for file, text := range below {
		a[file] = fields(text)
	}
	if a[passwdFile] == nil {
		a[passwdFile] = [][]string{{"root", "x", "0", "0", "root", "/root", "/usr/sbin/nologin"}}
	}
	if a[groupFile] == nil {
		a[groupFile] = [][]string{{"root", "x", "0", ""}}
	}
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(x, y template.Group) int { return x.GID - y.GID })
	users = slices.Clone(users)
	slices.SortFunc(users, func(x, y template.User) int { return x.UID - y.UID })
	for _, g := range groups {
		if err := a.addGroup(g.Name, g.GID); err != nil {
			return nil, err
		}
	}
	for _, u := range users {
		if err := a.addUser(u); err != nil {
			return nil, err
		}
	}
	if err := a.addMembers(users, groups); err != nil {
		return nil, err
	}
	changed := map[string][]byte{}
	for file, lines := range a {
		if text := join(lines); !bytes.Equal(text, below[file]) {
			changed[file] = text
		}
	}
	return changed, nil
}

func fields(text []byte) [][]string {
	lines := [][]string{}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if line != "" {
			lines = append(lines, strings.Split(line, ":"))
		}
	}
	return lines
}

func join(lines [][]string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(strings.Join(l, ":") + "\n")
	}
	return b.Bytes()
}

// find is the first line with a value in a field.
func (a accounts) find(file string, field int, value string) []string {
	for _, l := range a[file] {
		if len(l) > field && l[field] == value {
			return l
		}
	}
	return nil
}

func (a accounts) add(file string, line ...string) {
	if a[file] != nil {
		a[file] = append(a[file], line)
	}
}

// addGroup makes sure of a group by this name and id.
func (a accounts) addGroup(name string, gid int) error {
	id := strconv.Itoa(gid)
	if have := a.find(groupFile, 0, name); have != nil {
		if len(have) > 2 && have[2] == id {
			return nil
		}
		return fmt.Errorf("group %q is there with gid %s, not %d (say gid = %s, or choose another name)", name, at(have, 2), gid, at(have, 2))
	}
	if have := a.find(groupFile, 2, id); have != nil {
		return fmt.Errorf("gid %d is that of group %q (choose another gid for %q)", gid, have[0], name)
	}
	a.add(groupFile, name, "x", id, "")
	if a.find(gshadowFile, 0, name) == nil {
		a.add(gshadowFile, name, "!", "", "")
	}
	return nil
}

// addUser makes sure of a user by this name, uid and primary group. A group
// that nobody declared is named like the user.
func (a accounts) addUser(u template.User) error {
	uid, gid := strconv.Itoa(u.UID), strconv.Itoa(u.GID)
	if have := a.find(passwdFile, 0, u.Name); have != nil {
		if at(have, 2) != uid || at(have, 3) != gid {
			return fmt.Errorf("user %q is there with uid %s and gid %s, not %s and %s (say uid = %s and gid = %s, or choose another name)",
				u.Name, at(have, 2), at(have, 3), uid, gid, at(have, 2), at(have, 3))
		}
		copy(have, []string{u.Name, have[1], uid, gid, u.Comment, u.Home, u.Shell})
		return nil
	}
	if have := a.find(passwdFile, 2, uid); have != nil {
		return fmt.Errorf("uid %s is that of user %q (choose another uid for %q)", uid, have[0], u.Name)
	}
	if a.find(groupFile, 2, gid) == nil {
		if err := a.addGroup(u.Name, u.GID); err != nil {
			return err
		}
	}
	a.add(passwdFile, u.Name, "x", uid, gid, u.Comment, u.Home, u.Shell)
	if a.find(shadowFile, 0, u.Name) == nil {
		// No password, and no day on which it was changed: the day of a bake
		// would be in the digest.
		a.add(shadowFile, u.Name, "!", "", "", "", "", "", "", "")
	}
	return nil
}

// addMembers writes who is in which group, besides the primary ones.
func (a accounts) addMembers(users []template.User, groups []template.Group) error {
	join := func(group, user, hint string) error {
		line := a.find(groupFile, 0, group)
		if line == nil {
			return fmt.Errorf("user %q is to be in group %q, which is not there (declare group %q { gid = … })", user, group, group)
		}
		if a.find(passwdFile, 0, user) == nil {
			return fmt.Errorf("group %q is to have user %q, who is not there (%s)", group, user, hint)
		}
		addMember(line, 3, user)
		if shadow := a.find(gshadowFile, 0, group); shadow != nil {
			addMember(shadow, 3, user)
		}
		return nil
	}
	for _, g := range groups {
		for _, m := range g.Members {
			if err := join(g.Name, m, fmt.Sprintf("declare user %q { uid = … }", m)); err != nil {
				return err
			}
		}
	}
	for _, u := range users {
		for _, g := range u.Groups {
			if err := join(g, u.Name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// addMember adds to a list of names in a field.
func addMember(line []string, field int, name string) {
	if len(line) <= field {
		return
	}
	members := strings.Split(line[field], ",")
	switch {
	case line[field] == "":
		line[field] = name
	case !slices.Contains(members, name):
		line[field] += "," + name
	}
}

func at(line []string, field int) string {
	if field < len(line) {
		return line[field]
	}
	return ""
}
