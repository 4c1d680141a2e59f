// Package promotionhttp serves promotion.Operations over HTTP as /api/v1, and
// is its client.
//
// # Wire format
//
// Bodies are the structs of package promotion as JSON; the OpenAPI 3.1 document
// at /openapi.json is generated from them. GET asks by query parameters, each
// given once, none unknown; POST by an application/json body; DELETE by query
// parameters. Lists page with limit and cursor: the cursor of the next page is
// "next" of the page before.
//
//	GET    /api/v1/images
//	GET    /api/v1/versions    image [digest]
//	GET    /api/v1/channels    image
//	GET    /api/v1/resolve     image channel; ETag and If-None-Match
//	GET    /api/v1/history     image [channel]
//	GET    /api/v1/promotions  image [channel]: of the history, what was promoted
//	POST   /api/v1/promotions  201, or 200 if the channel held that already
//	GET    /api/v1/checks      image digest channel
//	GET    /api/v1/decisions   image [record]
//	POST   /api/v1/rollbacks
//	GET    /api/v1/revocations [image]
//	POST   /api/v1/revocations
//	POST   /api/v1/restorations
//	GET    /api/v1/approvals   image digest [channel]
//	POST   /api/v1/approvals
//	POST   /api/v1/renewals
//	GET    /api/v1/trust
//	POST   /api/v1/trust
//	DELETE /api/v1/trust       key or key_id [role] [image]
//	POST   /api/v1/trust/root
//
// # Errors
//
// An error is a problem document (RFC 9457) with the promotion.Kind as the
// member "kind"; see Problem. The client makes the same *promotion.Error of it
// that the Service returned. What is nobody's business reaches the log only:
// the client is told "internal error" and the id of its request, which is in
// the header X-Request-Id too.
//
// # Who may ask
//
// This package asks nobody who they are. A handler in front refuses whom it
// does not know; Loopback is such a handler for a server that is open to its own
// machine. Config.Identity names the caller for the ledger.
package promotionhttp
