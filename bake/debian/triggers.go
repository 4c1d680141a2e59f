package debian

import (
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// interest is one trigger that a package wants to hear of (deb-triggers(5)).
type interest struct {
	name    string
	noAwait bool
}

// interests reads the interest directives of a package's triggers file.
func (c *contents) interests() []interest {
	var all []interest
	for line := range strings.SplitSeq(string(c.controlData("triggers")), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "interest", "interest-await":
			all = append(all, interest{words[1], false})
		case "interest-noawait":
			all = append(all, interest{words[1], true})
		}
	}
	return all
}

// registerTriggers adds the packages' interests to triggers/File and
// triggers/NAME, and notes the file triggers of packages installed before
// that the new files set off, for dpkg to process.
func (w *writer) registerTriggers(set []*contents) error {
	pending, err := w.activated(set)
	if err != nil {
		return err
	}
	added := map[string][]string{}
	for _, c := range set {
		for _, i := range c.interests() {
			who := c.id()
			if i.noAwait {
				who += "/noawait"
			}
			if strings.HasPrefix(i.name, "/") {
				added["File"] = append(added["File"], i.name+" "+who)
			} else if !strings.Contains(i.name, "/") {
				added[i.name] = append(added[i.name], who)
			}
		}
	}
	for _, name := range pending {
		added["Unincorp"] = append(added["Unincorp"], name+" -")
	}
	for _, file := range sortedKeys(added) {
		if err := w.addLines(triggerDir+"/"+file, added[file]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) addLines(name string, lines []string) error {
	old, err := w.plan.view.readFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	have := map[string]bool{}
	for line := range strings.SplitSeq(string(old), "\n") {
		have[line] = true
	}
	text := string(old)
	for _, line := range lines {
		if !have[line] {
			text += line + "\n"
			have[line] = true
		}
	}
	return w.put(name, []byte(text), 0o644)
}

// activated lists the file triggers of the tree, as it was before, that a
// path of the packages lies at or below.
func (w *writer) activated(set []*contents) ([]string, error) {
	text, err := w.plan.view.readFile(triggerDir + "/File")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, _, ok := strings.Cut(line, " "); ok {
			wanted[name] = true
		}
	}
	found := map[string]bool{}
	for _, c := range set {
		for i := range c.entries {
			for at := "/" + c.entries[i].name; at != "/"; at = path.Dir(at) {
				if wanted[at] {
					found[at] = true
				}
			}
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
