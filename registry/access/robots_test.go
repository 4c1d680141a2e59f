package access

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
	"kiln/registry/store"
	"kiln/registry/store/filestore"
)

func newRobots(t *testing.T) (*Robots, *clock) {
	t.Helper()
	fs, err := filestore.Open(t.Context(), tempDir(t), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	return NewRobots(fs.Pointers(), c.Now), c
}

const day = promotion.Duration(24 * time.Hour)

func TestRobots(t *testing.T) {
	r, c := newRobots(t)
	made, err := r.CreateToken(t.Context(), promotion.TokenRequest{Name: "ci", Grants: []Grant{grant("pull push", "acme/*")}, Lifetime: 2 * day, By: "alice"})
	if err != nil || made.CreatedBy != "alice" || !made.ExpiresAt.Equal(c.Now().Add(48*time.Hour)) {
		t.Fatalf("%+v: %v", made, err)
	}
	text := string(made.Token)
	secret := text[len("kiln_")+21:]
	ptr, err := r.pointers.Load(t.Context(), store.TokenPointer(made.ID))
	if err != nil || strings.Contains(string(ptr.Value), secret) {
		t.Fatalf("the store has the secret: %s %v", ptr.Value, err)
	}
	for _, shown := range []string{fmt.Sprint(made), fmt.Sprintf("%+v", made), fmt.Sprintf("%#v", made)} {
		if strings.Contains(shown, secret) {
			t.Errorf("a message shows the secret: %s", shown)
		}
	}
	log := &logBuffer{}
	slog.New(slog.NewJSONHandler(log, nil)).Info("made", "token", made.Token)
	if strings.Contains(log.String(), secret) {
		t.Errorf("a log shows the secret: %s", log)
	}
	id, known, err := r.identify(t.Context(), text)
	if err != nil || id.Name != "token:ci" || id.Anonymous || len(id.Grants) != 1 || !id.Expires.Equal(made.ExpiresAt) || known.ID != made.ID {
		t.Fatalf("%+v: %v", id, err)
	}
	other, err := r.CreateToken(t.Context(), promotion.TokenRequest{Name: "other", Grants: []Grant{grant("pull", "**")}, Lifetime: day})
	if err != nil {
		t.Fatal(err)
	}
	flipped := text[:len(text)-1] + string("10"[strings.IndexByte("01", text[len(text)-1])&1])
	if flipped == text {
		flipped = text[:len(text)-1] + "2"
	}
	for name, bad := range map[string]string{
		"another's secret": "kiln_" + made.ID + "_" + string(other.Token)[len("kiln_")+21:],
		"one digit":        flipped,
		"unknown":          "kiln_" + strings.Repeat("0", 20) + "_" + secret,
		"path":             "kiln_../../../../format/x_" + secret,
		"upper case":       strings.ToUpper(text),
		"cut":              text[:len(text)-1],
		"empty":            "",
		"the hash":         "kiln_" + made.ID + "_" + hashSecret(secret),
	} {
		if id, _, err := r.identify(t.Context(), bad); !errors.Is(err, errInvalid) {
			t.Errorf("%s is %+v: %v", name, id, err)
		}
	}
	c.Add(48*time.Hour - 1)
	if _, _, err := r.identify(t.Context(), text); err != nil {
		t.Error(err)
	}
	c.Add(1)
	if _, _, err := r.identify(t.Context(), text); !errors.Is(err, errInvalid) {
		t.Errorf("an expired token: %v", err)
	}
}

func TestTokenNames(t *testing.T) {
	r, c := newRobots(t)
	create := func(name string, lifetime promotion.Duration, grants ...Grant) error {
		_, err := r.CreateToken(t.Context(), promotion.TokenRequest{Name: name, Grants: grants, Lifetime: lifetime})
		return err
	}
	pull := grant("pull", "**")
	for _, bad := range []error{
		create("", day, pull), create("A", day, pull), create("a b", day, pull), create("../x", day, pull), create(strings.Repeat("a", 65), day, pull),
		create("a", 0, pull), create("a", -day, pull), create("a", promotion.Duration(promotion.MaxTokenLifetime)+1, pull), create("a", 1, pull),
		create("a", day), create("a", day, Grant{}), create("a", day, grant("admin", "acme/*")),
	} {
		if promotion.KindOf(bad) != promotion.KindInvalid {
			t.Errorf("taken: %v", bad)
		}
	}
	for _, name := range []string{"b", "a"} {
		if err := create(name, day, pull); err != nil {
			t.Fatal(err)
		}
	}
	if err := create("a", day, pull); promotion.KindOf(err) != promotion.KindConflict {
		t.Errorf("a name twice: %v", err)
	}
	c.Add(24 * time.Hour)
	if err := create("a", day, pull); err != nil {
		t.Errorf("the name of an expired token: %v", err)
	}
	list, err := r.ListTokens(t.Context())
	if err != nil || len(list.Tokens) != 3 || list.Tokens[0].Name != "a" || list.Tokens[2].Name != "b" || list.Tokens[0].Token != "" {
		t.Fatalf("%+v: %v", list, err)
	}
	gone, err := r.RevokeToken(t.Context(), promotion.RevokeTokenRequest{Name: "a"})
	if err != nil || len(gone.Tokens) != 2 {
		t.Errorf("%+v: %v", gone, err)
	}
	if gone, err = r.RevokeToken(t.Context(), promotion.RevokeTokenRequest{ID: list.Tokens[2].ID}); err != nil || len(gone.Tokens) != 1 {
		t.Errorf("%+v: %v", gone, err)
	}
	for req, kind := range map[promotion.RevokeTokenRequest]promotion.Kind{
		{}:                      promotion.KindInvalid,
		{ID: "x", Name: "y"}:    promotion.KindInvalid,
		{Name: "a"}:             promotion.KindNotFound,
		{ID: "../../format"}:    promotion.KindNotFound,
		{ID: list.Tokens[0].ID}: promotion.KindNotFound,
	} {
		if _, err := r.RevokeToken(t.Context(), req); promotion.KindOf(err) != kind {
			t.Errorf("%+v: %v", req, err)
		}
	}
}

// A pointer that is damaged, or was moved to another name, lets nobody in.
func TestDamagedTokens(t *testing.T) {
	r, _ := newRobots(t)
	made, err := r.CreateToken(t.Context(), promotion.TokenRequest{Name: "ci", Grants: []Grant{grant("pull", "**")}, Lifetime: day})
	if err != nil {
		t.Fatal(err)
	}
	ptr, err := r.pointers.Load(t.Context(), store.TokenPointer(made.ID))
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Repeat("a", 20)
	text := string(made.Token)
	for name, value := range map[string]string{
		"copied": string(ptr.Value), "empty": "{}", "junk": "\x00",
		"no hash": strings.Replace(string(ptr.Value), `"sha256":"`, `"sha256":"","x":"`, 1),
	} {
		p, err := r.pointers.Swap(t.Context(), store.Absent(store.TokenPointer(moved)), []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		if id, _, err := r.identify(t.Context(), "kiln_"+moved+text[25:]); err == nil {
			t.Errorf("%s: %+v", name, id)
		}
		if _, _, err := r.identify(t.Context(), text); err != nil {
			t.Errorf("%s: a token beside it: %v", name, err)
		}
		if err := r.pointers.Delete(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}
