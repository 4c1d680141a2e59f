package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kiln/registry/promotion"
	"kiln/registry/store"
)

// Robots are the robot tokens of a store: one pointer each, tokens/<id>. They
// ask nobody who they are; Gate.Tokens does. Safe for concurrent use.
type Robots struct {
	pointers store.Pointers
	now      func() time.Time
}

var _ promotion.Tokens = (*Robots)(nil)

// NewRobots are the tokens in a store; now is time.Now if nil.
func NewRobots(pointers store.Pointers, now func() time.Time) *Robots {
	if now == nil {
		now = time.Now
	}
	return &Robots{pointers: pointers, now: now}
}

// robot is the value of a token's pointer, as JSON. Of the secret it has only
// the SHA-256: that is enough for 256 random bits, which nobody guesses however
// fast the hash is, and it costs no request a tenth of a second as a password's
// hash has to.
type robot struct {
	Schema  string    `json:"schema"`
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Hash    string    `json:"sha256"` // of the secret, hex
	Grants  []Grant   `json:"grants"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
}

// Sizes of a token's parts, in bytes; the text has twice as many hex digits.
const (
	robotIDSize     = 10
	robotSecretSize = 32
)

// robotText is a whole token. Its prefix lets scanners for secrets find it.
var (
	robotText = pattern(`^kiln_([0-9a-f]{20})_([0-9a-f]{64})$`)
	robotID   = pattern(`^[0-9a-f]{20}$`)
	robotName = pattern(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// errInvalid is of a credential that lets nobody in; the message is for the
// stranger and says no more than that.
var errInvalid = errors.New("invalid credentials")

// identify is the identity of a token, asked of the store each time: a token
// that is revoked is nobody's from the next request on.
func (r *Robots) identify(ctx context.Context, text string) (Identity, robot, error) {
	m := robotText().FindStringSubmatch(text)
	if m == nil {
		return Identity{}, robot{}, errInvalid
	}
	known, err := r.load(ctx, m[1])
	if err != nil {
		return Identity{}, robot{}, err
	}
	if subtle.ConstantTimeCompare([]byte(hashSecret(m[2])), []byte(known.Hash)) != 1 {
		return Identity{}, robot{}, errInvalid
	}
	return known.identity(), known, nil
}

// load reads a token that has not expired; errInvalid if there is none.
func (r *Robots) load(ctx context.Context, id string) (robot, error) {
	if !robotID().MatchString(id) {
		return robot{}, errInvalid
	}
	ptr, err := r.pointers.Load(ctx, store.TokenPointer(id))
	if errors.Is(err, store.ErrNotFound) {
		return robot{}, errInvalid
	}
	if err != nil {
		return robot{}, fmt.Errorf("token %s: %w", id, err)
	}
	known, err := decodeRobot(ptr)
	if err != nil {
		return robot{}, err
	}
	if known.ID != id || !r.now().Before(known.Expires) {
		return robot{}, errInvalid
	}
	return known, nil
}

func decodeRobot(ptr store.Pointer) (robot, error) {
	var known robot
	if err := json.Unmarshal(ptr.Value, &known); err != nil {
		return robot{}, fmt.Errorf("pointer %s is damaged: %w", ptr.Name, err)
	}
	if known.Schema != promotion.TokenSchema || len(known.Hash) != 2*sha256.Size || store.TokenPointer(known.ID) != ptr.Name {
		return robot{}, fmt.Errorf("pointer %s is damaged, or of another kiln", ptr.Name)
	}
	return known, nil
}

func (r robot) identity() Identity {
	return Identity{Name: "token:" + r.Name, Grants: r.Grants, Expires: r.Expires}
}

func (r robot) shown() promotion.Token {
	return promotion.Token{
		Schema: promotion.TokenSchema, ID: r.ID, Name: r.Name, Grants: r.Grants,
		CreatedAt: r.Created, CreatedBy: r.By, ExpiresAt: r.Expires,
	}
}

// CreateToken implements promotion.Tokens. Of two that make the same name at
// once both may succeed; the list shows them.
func (r *Robots) CreateToken(ctx context.Context, req promotion.TokenRequest) (promotion.Token, error) {
	if err := checkTokenRequest(req); err != nil {
		return promotion.Token{}, err
	}
	now := r.now().UTC().Truncate(time.Second)
	for known, err := range r.all(ctx) {
		if err != nil {
			return promotion.Token{}, err
		}
		if known.Name == req.Name && now.Before(known.Expires) {
			return promotion.Token{}, &promotion.Error{
				Kind: promotion.KindConflict, Message: fmt.Sprintf("there is a token %s, with the id %s", req.Name, known.ID),
				Hint: "revoke it, or take another name",
			}
		}
	}
	secret := randomHex(robotSecretSize)
	made := robot{
		Schema: promotion.TokenSchema, ID: randomHex(robotIDSize), Name: req.Name, Hash: hashSecret(secret),
		Grants: req.Grants, Created: now, By: req.By, Expires: now.Add(time.Duration(req.Lifetime)),
	}
	value, err := json.Marshal(made)
	if err != nil {
		return promotion.Token{}, err
	}
	if _, err := r.pointers.Swap(ctx, store.Absent(store.TokenPointer(made.ID)), value); err != nil {
		return promotion.Token{}, fmt.Errorf("token %s: %w", req.Name, err)
	}
	out := made.shown()
	out.Token = promotion.Secret("kiln_" + made.ID + "_" + secret)
	return out, nil
}

func checkTokenRequest(req promotion.TokenRequest) error {
	invalid := func(format string, args ...any) error {
		return &promotion.Error{Kind: promotion.KindInvalid, Message: fmt.Sprintf(format, args...)}
	}
	if !robotName().MatchString(req.Name) {
		return invalid("invalid name %q of a token: want at most 64 lower-case letters, digits, . _ or -", clip(req.Name))
	}
	if req.Lifetime < promotion.Duration(time.Second) || req.Lifetime > promotion.Duration(promotion.MaxTokenLifetime) {
		return invalid("a token lives between a second and %v", promotion.Duration(promotion.MaxTokenLifetime))
	}
	if len(req.Grants) == 0 {
		return invalid("a token without grants may do nothing")
	}
	if err := checkGrants(req.Grants); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// all yields every token, expired ones too, in the order of their ids.
func (r *Robots) all(ctx context.Context) func(yield func(robot, error) bool) {
	return func(yield func(robot, error) bool) {
		for ptr, err := range r.pointers.List(ctx, store.TokensPrefix, "") {
			var known robot
			if err == nil {
				known, err = decodeRobot(ptr)
			}
			if !yield(known, err) || err != nil {
				return
			}
		}
	}
}

// ListTokens implements promotion.Tokens.
func (r *Robots) ListTokens(ctx context.Context) (promotion.TokenList, error) {
	list := promotion.TokenList{Schema: promotion.TokensSchema, Tokens: []promotion.Token{}}
	for known, err := range r.all(ctx) {
		if err != nil {
			return promotion.TokenList{}, fmt.Errorf("tokens: %w", err)
		}
		list.Tokens = append(list.Tokens, known.shown())
	}
	slices.SortFunc(list.Tokens, func(a, b promotion.Token) int {
		return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID)
	})
	return list, nil
}

// RevokeToken implements promotion.Tokens and answers with what it removed.
func (r *Robots) RevokeToken(ctx context.Context, req promotion.RevokeTokenRequest) (promotion.TokenList, error) {
	gone := promotion.TokenList{Schema: promotion.TokensSchema, Tokens: []promotion.Token{}}
	if (req.ID == "") == (req.Name == "") {
		return gone, &promotion.Error{Kind: promotion.KindInvalid, Message: "which token? name its id or its name"}
	}
	for ptr, err := range r.pointers.List(ctx, store.TokensPrefix, "") {
		if err != nil {
			return gone, fmt.Errorf("tokens: %w", err)
		}
		known, err := decodeRobot(ptr)
		if err != nil && ptr.Name != store.TokenPointer(req.ID) {
			continue // one that is damaged lets nobody in, and can be removed by its id
		}
		if ptr.Name != store.TokenPointer(req.ID) && (req.Name == "" || known.Name != req.Name) {
			continue
		}
		// A pointer that moved was removed by another: tokens never change.
		if err := r.pointers.Delete(ctx, ptr); err != nil && !errors.Is(err, store.ErrConflict) {
			return gone, fmt.Errorf("revoke token: %w", err)
		}
		gone.Tokens = append(gone.Tokens, known.shown())
	}
	if len(gone.Tokens) == 0 {
		return gone, &promotion.Error{
			Kind: promotion.KindNotFound, Message: fmt.Sprintf("no token %s", clip(req.ID+req.Name)), Hint: "kiln token list lists them",
		}
	}
	return gone, nil
}
