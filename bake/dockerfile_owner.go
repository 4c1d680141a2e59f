package bake

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// owner finds the ids of user[:group], as --chown and USER write them: names
// in the image's /etc/passwd and /etc/group. A user without a group has its
// own; a number without one has the same number.
func (d *docker) owner(ctx context.Context, st *state, text string) (uid, gid int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	user, group, _ := strings.Cut(text, ":")
	if uid, gid, ok := numbers(user, group); ok {
		return uid, gid, nil
	}
	chain, err := chainOf(st.below)
	if err != nil {
		return 0, 0, err
	}
	var ids [2]int
	k := key("owner", chain, text) + ".json"
	if d.cache.load(&ids, "places", k) {
		return ids[0], ids[1], nil
	}
	if st.below == nil {
		return 0, 0, fmt.Errorf("owner %q: scratch has no /etc/passwd (write numbers, as 10001:10001)", text)
	}
	if ids, err = d.named(ctx, st, user, group); err != nil {
		return 0, 0, fmt.Errorf("owner %q: %w", text, err)
	}
	if !d.sure() {
		return ids[0], ids[1], nil
	}
	return ids[0], ids[1], d.cache.save(ids, "places", k)
}

// numbers reads ids that need no looking up.
func numbers(user, group string) (uid, gid int, ok bool) {
	u, err := strconv.ParseUint(user, 10, 31)
	if err != nil {
		return 0, 0, false
	}
	if group == "" {
		return int(u), int(u), true
	}
	g, err := strconv.ParseUint(group, 10, 31)
	return int(u), int(g), err == nil
}

func (d *docker) named(ctx context.Context, st *state, user, group string) (ids [2]int, err error) {
	if ids[0], err = strconv.Atoi(user); err != nil {
		fields, err := d.entry(ctx, st, "etc/passwd", user)
		if err != nil {
			return ids, err
		}
		ids[0], _ = strconv.Atoi(fields[2])
		if len(fields) > 3 {
			ids[1], _ = strconv.Atoi(fields[3])
		}
	} else {
		ids[1] = ids[0]
	}
	if group == "" {
		return ids, nil
	}
	if ids[1], err = strconv.Atoi(group); err != nil {
		fields, err := d.entry(ctx, st, "etc/group", group)
		if err != nil {
			return ids, err
		}
		ids[1], _ = strconv.Atoi(fields[2])
	}
	return ids, nil
}

// entry finds the line of a name in a file of passwd(5)'s kind.
func (d *docker) entry(ctx context.Context, st *state, file, name string) ([]string, error) {
	data, err := d.file(ctx, &Image{Image: st.below}, file)
	if err != nil {
		return nil, fmt.Errorf("%w (write numbers, as 10001:10001)", err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(fields) > 2 && fields[0] == name {
			return fields, nil
		}
	}
	return nil, fmt.Errorf("/%s of the image has no %q (make it in a RUN before, or write a number)", file, name)
}
