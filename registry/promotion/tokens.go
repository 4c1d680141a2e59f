package promotion

import (
	"context"
	"time"
)

// Verb is something that an identity may do with an image. Package access
// checks them; nothing else gives them a meaning.
type Verb string

// Grant lets an identity do what Verbs says with the images that one of the
// patterns matches. Patterns are doublestar's: * stops at a slash, ** does not.
// An empty list of images, verbs or, where a verb is about a channel, channels
// grants nothing.
type Grant struct {
	Images   []string `json:"images" doc:"Patterns: acme/shop, acme/*, acme/**"`
	Channels []string `json:"channels,omitempty" doc:"Patterns, for promote, approve and rollback"`
	Verbs    []Verb   `json:"verbs"`
}

// Tokens are the robot tokens of a store: secrets that programs present instead
// of a password. Safe for concurrent use.
type Tokens interface {
	// CreateToken makes a token; its secret is in the answer and nowhere else.
	// KindInvalid for a grant that means nothing, KindConflict for a name that
	// a token has which has not expired.
	CreateToken(ctx context.Context, req TokenRequest) (Token, error)
	// ListTokens lists them by name, without their secrets.
	ListTokens(ctx context.Context) (TokenList, error)
	// RevokeToken removes a token, by id or by name. Once it returns no request
	// with that token, nor with a session that was made of it, begins on any
	// replica. KindNotFound if there is none.
	RevokeToken(ctx context.Context, req RevokeTokenRequest) (TokenList, error)
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Name   string  `json:"name" doc:"Lower-case letters, digits, . _ and -"`
	Grants []Grant `json:"grants"`
	// Lifetime from now on, at most MaxTokenLifetime; there is no default.
	Lifetime Duration `json:"lifetime" doc:"90d, 12h; at most 366d"`
	By       string   `json:"-"`
}

// MaxTokenLifetime bounds the life of a token: what nobody renews for a year is
// forgotten.
const MaxTokenLifetime = 366 * 24 * time.Hour

// RevokeTokenRequest names a token.
type RevokeTokenRequest struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"` // every token of that name
	By   string `json:"-"`
}

// TokenSchema is the schema of a Token, TokensSchema that of a TokenList.
const (
	TokenSchema  = "kiln.token/v1"
	TokensSchema = "kiln.tokens/v1"
)

// Token is a robot token as it is shown.
type Token struct {
	Schema    string    `json:"schema"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Grants    []Grant   `json:"grants"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at"`
	// Token is the secret: only in the answer to CreateToken.
	Token Secret `json:"token,omitempty"`
}

// TokenList lists tokens.
type TokenList struct {
	Schema string  `json:"schema"`
	Tokens []Token `json:"tokens"`
}
