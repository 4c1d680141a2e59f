package dockerfile

import (
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// globals are the arguments that FROM lines see and that an ARG without a
// value takes over: the platform's, then those before the first FROM.
func (p *Plan) globals(args []instructions.ArgCommand) error {
	target := p.opts.Target
	if target == "" {
		target = "default"
	}
	set := func(key, value string) {
		if v, ok := p.opts.Args[key]; ok {
			value = v
		}
		p.global.set(key, value)
	}
	for _, at := range []struct{ prefix, platform string }{{"BUILD", p.opts.BuildPlatform}, {"TARGET", p.opts.Platform}} {
		system, rest, _ := strings.Cut(at.platform, "/")
		arch, variant, _ := strings.Cut(rest, "/")
		set(at.prefix+"PLATFORM", at.platform)
		set(at.prefix+"OS", system)
		set(at.prefix+"OSVERSION", "")
		set(at.prefix+"ARCH", arch)
		set(at.prefix+"VARIANT", variant)
	}
	set("TARGETSTAGE", target)
	lex := p.file.lex()
	for _, cmd := range args {
		for _, kv := range cmd.Args {
			p.declared[kv.Key] = true
			value, given := p.opts.Args[kv.Key]
			if !given && kv.Value != nil {
				var err error
				if value, err = p.global.expand(lex, *kv.Value); err != nil {
					return p.file.parsed(lineOf(cmd.Location()), err)
				}
				given = true
			}
			if given {
				p.global.set(kv.Key, value)
			}
		}
	}
	return nil
}

// isProxy says whether an argument reaches RUN without an ARG, as those of
// proxies do.
func isProxy(key string) bool {
	switch strings.ToLower(key) {
	case "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy":
		return true
	}
	return false
}

// predefined says whether an argument means something without an ARG.
func predefined(key string) bool {
	return isProxy(key) || key == "SOURCE_DATE_EPOCH" || strings.HasPrefix(key, "BUILDKIT_") ||
		(strings.HasPrefix(key, "TARGET") || strings.HasPrefix(key, "BUILD")) && key == strings.ToUpper(key)
}
