// Package s3store keeps a store in a bucket of any S3 service that has
// conditional writes.
//
// # Layout
//
// An object lies under its key, a pointer under its name with a "!" behind it,
// so that DESIGN's layout is what a listing of the bucket shows. Where a key
// would not do it is written so that byte order and prefixes stay what they
// were: a byte up to 0x22 as a '"' and two hex digits, and a component longer
// than 240 bytes in pieces, with "/0", "/1" or "/2" between them (the next
// byte is below, is, or is above a slash). "tmp/" holds what is ours alone.
//
// # Pointers
//
// A pointer is created with If-None-Match: * and swapped with If-Match. Its
// object begins with a line that holds the sha256 of the value and the nonces
// of its last swaps, the newest first: so no two swaps write the same bytes
// and the ETag tells them apart even where it is an MD5. A request whose answer
// is lost (timeout, reset, 5xx) may have done its work: the pointer is read,
// and if our nonce is among the last the swap happened, also when others came
// after it; if the nonce that we swapped from has another successor it did not.
// No service's delete is conditional everywhere, so a deleted pointer leaves a
// tombstone, about 100 bytes that no list fetches and that are never removed: a
// delete of one could meet a pointer made in its place.
//
// Before its first write a process races four creates and four swaps under
// tmp/probe/ and refuses a service that lets more than one win: see ErrUnfit.
//
// # Objects
//
// Put sends up to 8 MiB in one conditional request, more in parts: those are
// visible when the upload is completed, and an upload that fails is aborted.
// What dead processes left is aborted by later ones, after a day. Parts lie in
// at most 4 shared buffers of memory, then in temporary files.
//
// # Round trips
//
//	Stat, Delete, Load, Swap, Delete of a pointer   1
//	Open                                            1
//	Put up to 64 KiB                                1
//	Put of more, already there                      1
//	Put up to 8 MiB                                 2
//	Put of n parts                                  n+3
//	Copy                                            3
//	Swap where a tombstone is                       3
//	List                                            1 for each 1000 keys
//	List of pointers                                1 for each 1000 and 1 for each value, 16 at a time
//	first write of a process                        the probe: 13 in 6 steps, and 2 in the background
package s3store
