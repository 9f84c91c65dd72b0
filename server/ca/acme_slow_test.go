package ca_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/smallstep/certificates/acme"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestACMESlowKey: a message by a key so large that verifying it would stop the server is
// refused by the look of it.
func TestACMESlowKey(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("secret", attested("S1"))
	encode := base64.RawURLEncoding.EncodeToString
	address := strings.TrimSuffix(f.DirectoryURL("secret", "apple"), "directory") + "new-account"
	n := bytes.Repeat([]byte{0xff}, 15<<10)
	head := fmt.Sprintf(`{"alg":"RS256","nonce":"any","url":%q,"jwk":{"kty":"RSA","n":%q,"e":%q}}`, address, encode(n), encode([]byte{0x7f, 0xff, 0xff, 0xff}))
	body, err := json.Marshal(map[string]string{"protected": encode([]byte(head)), "payload": encode([]byte(`{"termsOfServiceAgreed":true}`)), "signature": encode(n)})
	if err != nil {
		t.Fatal(err)
	}
	res := visit(t, f.h, http.MethodPost, address, body)
	var problem struct{ Type, Detail string }
	if err := json.NewDecoder(res.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	if want := acme.NewError(acme.ErrorBadPublicKeyType, "").Type; problem.Type != want {
		t.Errorf("a key of %d bits: %s %+v, want %s", len(n)*8, res.Status, problem, want)
	}
}
