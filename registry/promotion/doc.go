// Package promotion is kiln's domain: versions of images, the channels that
// point to them, and the ledger of signed records that moves the channels.
//
// # State
//
// Of each image one pointer, its state, is mutable: the ledger's head, and for
// each channel the digest it holds and the signed statement that says so. A
// promotion stores its record, swaps the state once (the commit point) and then
// links the record as a referrer of the image. A record counts only when it is
// reachable from the head, so what a crash or a lost race leaves behind means
// nothing; readers put right a link that a crash kept from being made.
//
// What needs a longer look back than the head is answered by an index under
// images/<i>/ledger/ that is written behind the ledger and can be deleted at
// any time: the next reader walks the ledger and writes it again.
//
// # Trust
//
// The store's trust lists the keys that may bake and promote which images. The
// first key that is used on a store for a role is recorded; from then on an
// unlisted key is refused. Deployers keep their own keys and check a Resolution
// with VerifyResolution, which needs nothing from the store.
//
// # Errors
//
// Every error that a caller can act on is an *Error; KindOf reads its kind.
package promotion
