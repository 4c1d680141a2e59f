// Package trustfile reads and writes trust.hcl, in which a deployer says whom
// he believes: which keys or identities may bake, promote and approve which
// images, for which channels and at which times, and which images of other
// people he takes at all. It is the language of a store's trust, kept where no
// store can change it.
//
//	bake {
//	  image = "acme/**"
//	  key   = file("bake.pub")
//	}
//	promote {
//	  image    = "acme/**"
//	  channels = ["prod"]
//	  key      = file("promotion.pub")
//	}
//	third_party "registry.example.com/library/*" {
//	  key = file("library.pub")
//	}
//
// Nothing has a default that allows more: an image without a rule is refused,
// as is a file, a block or an expression that is not understood. docs/trust.md
// describes every attribute.
package trustfile
