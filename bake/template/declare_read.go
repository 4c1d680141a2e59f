package template

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// accountRE is a name as Debian's useradd takes it (useradd(8), "CAVEATS").
var accountRE = lazily(`^[a-z_][a-z0-9_-]{0,31}$`)

// Modes of what is declared without one.
const (
	fileMode = 0o644
	dirMode  = 0o755
)

// declaration is a kind of block that a Declare is made of.
type declaration struct {
	labels int
	read   func(*section, string, *Declare) // with the label, "" without one
}

// declarations are those blocks, by their type.
func (l *loader) declarations() map[string]declaration {
	return map[string]declaration{
		"user":        {1, l.user},
		"group":       {1, l.group},
		"file":        {0, func(s *section, _ string, d *Declare) { d.file(s.declaredFile()) }},
		"dir":         {0, func(s *section, _ string, d *Declare) { d.file(s.declaredDir()) }},
		"symlink":     {0, func(s *section, _ string, d *Declare) { d.file(s.declaredSymlink()) }},
		"permissions": {0, l.permissions},
		"systemd":     {1, func(s *section, name string, d *Declare) { d.file(s.systemd(name)...) }},
		"sysctl":      {0, func(s *section, _ string, d *Declare) { d.file(s.sysctl()) }},
	}
}

// declare reads a block into the step.
func (l *loader) declare(s *section, label string, kind declaration, d *Declare) {
	files := len(d.Files)
	kind.read(s, label, d)
	s.done()
	for i := files; i < len(d.Files); i++ {
		f := d.Files[i]
		if f.Path == "" {
			continue // its problem is noted
		}
		for _, other := range d.Files[:i] {
			if other.Path == f.Path {
				s.add(s.body.SrcRange, s.where, "", "%s is declared twice", f.Path)
			}
		}
	}
}

func (d *Declare) file(list ...DeclaredFile) { d.Files = append(d.Files, list...) }

func (s *section) declaredFile() DeclaredFile {
	s.require("path", "content")
	f := DeclaredFile{Kind: KindFile, Path: s.placePath("path"), Content: s.text("content"), Mode: s.modeOr(fileMode)}
	f.UID, f.GID = s.owner()
	return f
}

func (s *section) declaredDir() DeclaredFile {
	s.require("path")
	f := DeclaredFile{Kind: KindDir, Path: s.placePath("path"), Mode: s.modeOr(dirMode)}
	f.UID, f.GID = s.owner()
	return f
}

func (s *section) declaredSymlink() DeclaredFile {
	s.require("path", "to")
	f := DeclaredFile{Kind: KindSymlink, Path: s.placePath("path"), To: s.text("to"), Mode: 0o777}
	if s.has("to") && (f.To == "" || len(f.To) > 4095) {
		s.wrong("to", "", "to: a symlink's text has 1 to 4095 bytes")
	}
	return f
}

// placePath is an absolute path below the root.
func (s *section) placePath(name string) string {
	p := s.imagePath(name)
	if p == "/" {
		s.wrong(name, "name a path below it", "%s is the root", name)
	}
	return p
}

func (s *section) modeOr(def uint32) uint32 {
	if m := s.mode(); m != nil {
		return *m
	}
	return def
}

func (l *loader) permissions(s *section, _ string, d *Declare) {
	s.require("path")
	p := Permission{Path: s.placePath("path"), Mode: s.mode(), Owner: s.has("owner"), Recursive: s.boolean("recursive")}
	p.UID, p.GID = s.owner()
	if !s.has("mode") && !s.has("owner") {
		s.add(s.body.SrcRange, s.where, `add mode = "0640" or owner = "0:0"`, "the permissions change nothing")
	}
	d.Permissions = append(d.Permissions, p)
}

func (l *loader) user(s *section, name string, d *Declare) {
	s.require("uid")
	s.account(name)
	u := User{
		Name: name, UID: s.whole("uid", 0, 0, maxID), Groups: s.texts("groups"), Home: s.directory("home", "/nonexistent"),
		MakeHome: s.has("home"), Shell: s.directory("shell", "/usr/sbin/nologin"), Comment: s.text("comment"),
	}
	u.GID = s.whole("gid", u.UID, 0, maxID)
	for _, g := range u.Groups {
		if !accountRE().MatchString(g) {
			s.wrong("groups", "", "groups: %q is no group's name", g)
		}
	}
	for _, field := range []struct{ name, value string }{{"home", u.Home}, {"shell", u.Shell}, {"comment", u.Comment}} {
		if strings.ContainsAny(field.value, ":\n\r") {
			s.wrong(field.name, "", "%s: a colon or a line's end has no place in /etc/passwd", field.name)
		}
	}
	for _, other := range d.Users {
		if other.Name == u.Name || (other.UID == u.UID && s.has("uid")) {
			s.add(s.body.SrcRange, s.where, "", "name or uid is that of user %q", other.Name)
		}
	}
	d.Users = append(d.Users, u)
}

func (l *loader) group(s *section, name string, d *Declare) {
	s.require("gid")
	s.account(name)
	g := Group{Name: name, GID: s.whole("gid", 0, 0, maxID), Members: s.texts("members")}
	slices.Sort(g.Members)
	for _, m := range g.Members {
		if !accountRE().MatchString(m) {
			s.wrong("members", "", "members: %q is no user's name", m)
		}
	}
	for _, other := range d.Groups {
		if other.Name == g.Name || (other.GID == g.GID && s.has("gid")) {
			s.add(s.body.SrcRange, s.where, "", "name or gid is that of group %q", other.Name)
		}
	}
	d.Groups = append(d.Groups, g)
}

func (s *section) account(name string) {
	if !accountRE().MatchString(name) {
		s.add(s.body.SrcRange, s.where, "use lower-case letters, digits, _ and -, at most 32, and begin with a letter", "%q is no account's name", name)
	}
}

// unitRE is a unit's file name (systemd.unit(5)); instances and templates have
// an @.
var unitRE = lazily(`^[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*)?\.(?:service|socket|timer|path|mount|automount|swap|target|slice)$`)

// unitDir is where an administrator's units lie.
const unitDir = "/etc/systemd/system"

// systemd is a unit file and, where it is enabled, the links that systemctl
// enable would make of its [Install] section.
func (s *section) systemd(name string) []DeclaredFile {
	s.require("content")
	content, ok := s.givenText("content")
	s.attributes = append(s.attributes, "enable")
	enable := !s.has("enable") || s.boolean("enable")
	if !unitRE().MatchString(name) || len(name) > 255 {
		s.add(s.body.SrcRange, s.where, `write it with its type: "app.service"`, "%q is no unit's name", name)
		return nil
	}
	if !ok {
		return nil
	}
	if !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	list := []DeclaredFile{{Kind: KindFile, Path: path.Join(unitDir, name), Content: content, Mode: fileMode}}
	install, problem := installSection(content)
	if problem != "" {
		s.wrong("content", "", "content: %s", problem)
	}
	links := installLinks(name, install)
	switch {
	case problem != "":
	case s.has("enable") && enable && len(links) == 0:
		s.wrong("enable", "add [Install] with WantedBy=multi-user.target to the content", "the unit does not say what starts it")
	case enable && strings.Contains(name, "@.") && len(links) > 0:
		s.add(s.at("enable"), s.where, "declare an instance, or enable = false", "a template unit has no instance to start")
	}
	if !enable || problem != "" {
		return list
	}
	for _, at := range links {
		list = append(list, DeclaredFile{Kind: KindSymlink, Path: at, To: path.Join(unitDir, name), Mode: 0o777})
	}
	return list
}

// installSection reads the [Install] section of a unit file (systemd.syntax(7)).
func installSection(content string) (install map[string][]string, problem string) {
	install = map[string][]string{}
	section := ""
	lines := strings.Split(strings.ReplaceAll(content, "\\\n", " "), "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			return nil, fmt.Sprintf("line %d is neither [Section] nor Key=value", i+1)
		}
		if section == "Install" {
			key = strings.TrimSpace(key)
			install[key] = append(install[key], strings.Fields(value)...)
		}
	}
	if section == "" {
		return nil, "a unit file has at least one [Section]"
	}
	return install, ""
}

// installLinks are the paths of the links that enable a unit.
func installLinks(name string, install map[string][]string) []string {
	var links []string
	for _, kind := range []struct{ key, suffix string }{{"WantedBy", ".wants"}, {"RequiredBy", ".requires"}, {"UpheldBy", ".upholds"}} {
		for _, by := range install[kind.key] {
			if unitRE().MatchString(by) {
				links = append(links, path.Join(unitDir, by+kind.suffix, name))
			}
		}
	}
	for _, alias := range install["Alias"] {
		if unitRE().MatchString(alias) && alias != name {
			links = append(links, path.Join(unitDir, alias))
		}
	}
	slices.Sort(links)
	return slices.Compact(links)
}

var sysctlRE = lazily(`^-?[A-Za-z0-9_*-]+(?:[./][A-Za-z0-9_*@:-]+)+$`)

// sysctl is a file of kernel parameters (sysctl.d(5)), sorted by name.
func (s *section) sysctl() DeclaredFile {
	s.require("settings")
	name, settings := s.text("name"), s.textMap("settings")
	if name == "" {
		name = "60-kiln"
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(name) || strings.HasPrefix(name, ".") {
		s.wrong("name", `write it as "60-app"`, "%q is no file name", name)
		return DeclaredFile{}
	}
	if settings != nil && len(settings) == 0 {
		s.wrong("settings", "", "settings is empty")
	}
	var lines []string
	for key, value := range settings {
		switch {
		case !sysctlRE().MatchString(key):
			s.wrong("settings", `write it as "net.core.somaxconn"`, "%q is no kernel parameter", key)
		case strings.ContainsAny(value, "\n\r") || strings.TrimSpace(value) == "":
			s.wrong("settings", "", "settings: the value of %s is empty or has several lines", key)
		}
		lines = append(lines, key+" = "+value+"\n")
	}
	slices.Sort(lines)
	return DeclaredFile{Kind: KindFile, Path: "/etc/sysctl.d/" + strings.TrimSuffix(name, ".conf") + ".conf", Content: strings.Join(lines, ""), Mode: fileMode}
}
