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
// # Revocation
//
// A revocation is a record in the ledger of the image that it names, and stands
// in its state. Whatever hands a version out (Resolve, Channels, Renew, Promote,
// Rollback) first asks the state of its image and those of all ancestors that
// its signed provenance names: see bansOn. The index of descendants is only
// for lists of what is hit. An approval is a record as well, which names the
// signed word if there is one.
//
// # What stays
//
// Roots names what a collection must not take besides what tags reach: what a
// channel holds, what it held (all of it, or as much as a RetentionRule says),
// every record of a ledger, and what is leased. Versions go in two ways: Delete
// removes one, and a collection with retention rules removes the version tags
// that no rule keeps. Both are announced in the state of the image first, so
// that no promotion and no lease ever crosses one: see retire. What a channel,
// the kept history, a lease or a living version that was baked on it needs is
// neither deleted nor retired.
//
// # Errors
//
// Every error that a caller can act on is an *Error; KindOf reads its kind.
package promotion
