// Package access says who asks and what they may do. A Gate reads credentials
// from requests (Handler), and stands in front of a registry (Registry), of
// promotion's operations (Operations) and of the tokens (Tokens), where it lets
// through what the identity's grants say and refuses the rest: the zero value
// of everything here denies.
//
// Credentials are a user of an htpasswd file, a robot token (kiln_…), an OIDC
// ID token of a configured issuer, or a short-lived session token that the token
// endpoint (/v2/token) makes of one of those, as docker login and every other
// client of the distribution spec's token flow does. What is refused is refused
// before anything is looked up, so an answer never tells whether an image
// exists: CodeUnauthorized (401) for strangers, CodeDenied (403) for others.
//
// A request is judged when it begins; one that is under way when its token is
// revoked may finish.
package access
