package sign

import "testing"

// What a trusted key signed is evidence of an image only where it says its name,
// bare or behind what can be one registry's host.
func TestNamesOfHostileStatements(t *testing.T) {
	const image = "acme/shop"
	for said, want := range map[string]bool{
		"acme/shop":                                true,
		"registry.example.com/acme/shop":           true,
		"registry:5000/acme/shop":                  true,
		"localhost/acme/shop":                      true,
		"[::1]:5000/acme/shop":                     true,
		"Registry.example.com/acme/shop":           true,
		"x/acme/shop":                              false,
		"localhosts/acme/shop":                     false,
		"a.example/b.example/acme/shop":            false,
		"registry.example.com/x/acme/shop":         false,
		"registry.example.com/acme/shop:1.0":       false,
		"acme/shop:1.0":                            false,
		"acme/shop@sha256:0000":                    false,
		"acme/shop/":                               false,
		"/acme/shop":                               false,
		"./acme/shop":                              false,
		"../acme/shop":                             false,
		":/acme/shop":                              false,
		"registry.example.com:port/acme/shop":      false,
		"me@registry.example.com/acme/shop":        false,
		"https://registry.example.com/acme/shop":   false,
		"registry.example.com//acme/shop":          false,
		"registry.example.com/../acme/shop":        false,
		"registry.example.com\n/acme/shop":         false,
		"Acme/shop":                                false,
		"acme/shop ":                               false,
		"acme/shop\x00":                            false,
		"acme/shop-registry.example.com":           false,
		"registry.example.com/acme/shop/acme/shop": false,
	} {
		for _, signature := range []bool{false, true} {
			if err := (&Verifier{}).checkName("it", said, image, signature); (err == nil) != want {
				t.Errorf("%q, signature %t: %v", said, signature, err)
			}
		}
	}
}
