package trialserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Declaration is one that the server gives out.
type Declaration struct {
	Identifier, Type string
	Payload          map[string]any
	ServerToken      string // empty: a hash of the rest
}

// Kind is the part of the type that names the kind: activation, configuration, asset or
// management.
func (d Declaration) Kind() string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(d.Type, "com.apple."), ".")
	return kind
}

// JSON is the declaration as it goes to a device.
func (d Declaration) JSON(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"Identifier": d.Identifier, "Type": d.Type, "Payload": d.Payload, "ServerToken": d.ServerToken})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Token returns d with a token that changes with its content.
func (d Declaration) Token(t testing.TB) Declaration {
	t.Helper()
	if d.ServerToken == "" {
		sum := sha256.Sum256(d.JSON(t))
		d.ServerToken = hex.EncodeToString(sum[:16])
	}
	return d
}

// SetDeclarations replaces what a device is to hold, without telling it.
func (s *Server) SetDeclarations(t testing.TB, id string, list ...Declaration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.device(id)
	d.declarations = map[string]Declaration{}
	for _, x := range list {
		x = x.Token(t)
		d.declarations[x.Identifier] = x
	}
}

// Declare is SetDeclarations, the command that tells the device, and the wait for the
// status report that follows.
func (s *Server) Declare(t testing.TB, id string, list ...Declaration) map[string]any {
	t.Helper()
	s.SetDeclarations(t, id, list...)
	before := len(s.Statuses(id))
	s.Do(t, id, "DeclarativeManagement", nil)
	s.Await(t, func() bool { return len(s.device(id).statuses) > before })
	all := s.Statuses(id)
	return all[len(all)-1]
}

// Statuses returns the status reports of a device in order.
func (s *Server) Statuses(id string) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.device(id).statuses)
}

// Asked returns the endpoints of declarative management that a device asked for, in order.
func (s *Server) Asked(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.device(id).asked)
}

// tokens is the body of a TokensResponse. The caller holds s.mu.
func (d *device) tokens() map[string]any {
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(d.declarations)) {
		sum.Write([]byte(id + "\n" + d.declarations[id].ServerToken + "\n"))
	}
	return map[string]any{"SyncTokens": map[string]any{"DeclarationsToken": hex.EncodeToString(sum.Sum(nil)[:16]), "Timestamp": "2026-11-22T00:00:00Z"}}
}

// Tokens is the TokensResponse of a device, as the command DeclarativeManagement may carry.
func (s *Server) Tokens(t testing.TB, id string) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(s.device(id).tokens())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// items is the body of a DeclarationItemsResponse. The caller holds s.mu.
func (d *device) items() map[string]any {
	lists := map[string][]any{"Activations": {}, "Configurations": {}, "Assets": {}, "Management": {}}
	keys := map[string]string{"activation": "Activations", "configuration": "Configurations", "asset": "Assets", "management": "Management"}
	for _, id := range slices.Sorted(maps.Keys(d.declarations)) {
		x := d.declarations[id]
		k := keys[x.Kind()]
		lists[k] = append(lists[k], map[string]any{"Identifier": id, "ServerToken": x.ServerToken})
	}
	token := d.tokens()["SyncTokens"].(map[string]any)["DeclarationsToken"]
	return map[string]any{"Declarations": lists, "DeclarationsToken": token}
}

// declarative answers one message of declarative management. The caller holds s.mu.
func (s *Server) declarative(w http.ResponseWriter, d *device, endpoint string, data []byte) {
	d.asked = append(d.asked, endpoint)
	var answer any
	switch kind, rest, _ := strings.Cut(endpoint, "/"); kind {
	case "tokens":
		answer = d.tokens()
	case "declaration-items":
		answer = d.items()
	case "status":
		var report map[string]any
		if err := json.Unmarshal(data, &report); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d.statuses = append(d.statuses, report)
		return
	case "declaration":
		kind, id, _ := strings.Cut(rest, "/")
		x, ok := d.declarations[id]
		if !ok || x.Kind() != kind {
			http.NotFound(w, nil)
			return
		}
		answer = map[string]any{"Identifier": id, "Type": x.Type, "Payload": x.Payload, "ServerToken": x.ServerToken}
	default:
		http.Error(w, "endpoint", http.StatusBadRequest)
		return
	}
	b, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, b)
}

// Serve has the server answer GET path with body, and returns the address.
func (s *Server) Serve(path string, body []byte) string {
	s.Handle("GET "+path, func(w http.ResponseWriter, _ *http.Request) { write(w, body) })
	return s.URL + path
}

// AwaitStatuses waits until a device has sent n status reports.
func (s *Server) AwaitStatuses(t testing.TB, id string, n int) {
	t.Helper()
	s.Await(t, func() bool { return len(s.device(id).statuses) >= n })
}
