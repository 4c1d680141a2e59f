package dockerfile

import (
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// check refuses what kiln does not do, and says which stages and images an
// instruction reads.
func (p *Plan) check(st *Stage, cmd instructions.Command) ([]Source, error) {
	line := lineOf(cmd.Location())
	switch c := cmd.(type) {
	case *instructions.CopyCommand:
		if c.From == "" {
			return nil, nil
		}
		s, err := p.source(st, line, c.From)
		return []Source{s}, err
	case *instructions.RunCommand:
		return p.checkRun(st, line, c)
	case *instructions.HealthCheckCommand:
		if c.Health.StartInterval != 0 {
			return nil, p.file.wrong(line, "leave it out: the image format that kiln writes has no place for it", "HEALTHCHECK --start-interval is not supported")
		}
	}
	return nil, nil
}

func (p *Plan) checkRun(st *Stage, line int, c *instructions.RunCommand) ([]Source, error) {
	if instructions.GetSecurity(c) == instructions.SecurityInsecure {
		return nil, p.file.wrong(line, "kiln's sandbox has no door: do it without privileges", "RUN --security=insecure is not supported")
	}
	if len(instructions.GetDevices(c)) > 0 {
		return nil, p.file.wrong(line, "a build that needs a device differs from machine to machine", "RUN --device is not supported")
	}
	if instructions.GetNetwork(c) == instructions.NetworkHost && p.opts.Network != "host" {
		return nil, p.file.wrong(line, `say network = "host" in the dockerfile block; the image is recorded as not hermetic then`, "RUN --network=host is not allowed")
	}
	var sources []Source
	for _, m := range instructions.GetMounts(c) {
		if m.From != "" && !strings.EqualFold(m.From, "scratch") {
			s, err := p.source(st, line, m.From)
			if err != nil {
				return nil, err
			}
			sources = append(sources, s)
		}
	}
	return sources, nil
}
