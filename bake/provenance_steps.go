package bake

import "cmp"

// stepsTold are the steps of an image in the order of its layers, as its
// provenance tells them: what each was, whether it saw a network, and the
// layer that came of it. Those of a parent are in the parent's provenance.
func stepsTold(img *Image) []any {
	list := []any{}
	for _, s := range img.Steps {
		one := map[string]any{"name": s.Step, "kind": string(s.Kind), "network": "none"}
		if s.run != nil {
			one["network"] = cmp.Or(s.run.Network, "none")
		}
		if s.Platform != "" {
			one["platform"] = s.Platform
		}
		if s.Digest != "" {
			one["layer"] = string(s.Digest)
		}
		list = append(list, one)
	}
	return list
}
