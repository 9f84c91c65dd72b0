package casefile_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/casefile"
	"golang.org/x/mod/sumdb/note"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s mismatch (-want +got)\n%s", path, diff)
	}
}

const logName = "ward.example/audit"

// noteKey is the key of a log, made from a seed, so that golden files stay the same. It
// returns its public half, a Notary that signs by it, and its secret half as text.
func noteKey(t *testing.T) (public string, n notary, secret string) {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	pub, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no Ed25519 key")
	}
	public, err := note.NewEd25519VerifierKey(logName, pub)
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.SplitN(public, "+", 3)[1]
	secret = "PRIVATE+KEY+" + logName + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return public, notary{signer}, secret
}

type notary struct{ signer note.Signer }

func (n notary) Sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, n.signer)
}

// at is a time of the night of 14 November 2026.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05.999999", "2026-11-14 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

var (
	hana = casefile.By{Person: "per-hana", Name: "Hana Őry"}
	joel = casefile.By{Person: "per-joel", Name: "Joël Meade"}
)

// night is a stolen iPhone that was locked at once, and erased in the end.
func night() casefile.Source {
	return casefile.Source{
		MadeAt: at("18:00:00.25"), MadeBy: joel, Organisation: "St Brannock's NHS Trust",
		Case: &casefile.Case{
			ID: "case-7q", Kind: "stolen", State: "open", Reported: at("03:04:05.1"), ReportedBy: hana,
			Identified: "recovery code", LastSeenWhere: "A&E <entrance>", LastSeen: at("02:30:00"), WasUnlocked: "no",
			Note: "Taken from the trolley (bay 3).\nIt was charging.", Aware: at("03:04:05.1"),
			Message: "This phone is lost. Please ring.", Phone: "+44 20 7946 0000",
		},
		Device: &casefile.Device{
			ID: "dev-31", Name: "Ward 4 – 31", Serial: "F17ZK0AXN72J", Model: "iPhone 15", Platform: "iOS", OSVersion: "26.1", Ownership: "corporate",
			Holder: "Hana Őry", Email: "hana@trust.example", Group: "ED", Site: "Main", Enrolled: at("00:00:00").AddDate(0, -3, 0), LastSeen: at("02:58:10"), AsOf: at("03:04:05.1"),
		},
		Commands: []casefile.Command{
			{
				UUID: "u-1", Enrolment: "enr-1", Device: "dev-31", RequestType: "EnableLostMode", State: "accepted", AskedBy: hana,
				Queued: at("03:04:05.102"), Delivered: at("03:04:05.31"), Deliveries: 1, Answered: at("03:04:05.64"), LastSeen: at("09:12:01"),
				RawAnswer: []byte("<plist><dict><key>Status</key><string>Acknowledged</string></dict></plist>"),
			},
			{UUID: "u-2", Enrolment: "enr-1", Device: "dev-31", RequestType: "DeviceLocation", State: "not now", Queued: at("03:04:06"), Deferred: at("03:04:07"), Deliveries: 1, Delivered: at("03:04:06.5"), LastSeen: at("03:04:08"), Withheld: "an answer with a place is not shown."},
			{
				UUID: "u-3", Enrolment: "enr-1", Device: "dev-31", RequestType: "EraseDevice", Order: "ord-9", State: "accepted",
				Queued: at("09:10:00"), Delivered: at("09:12:00"), Deliveries: 1, Answered: at("09:12:00.8"), LastSeen: at("09:12:01"),
			},
		},
		Orders: []casefile.Order{{
			ID: "ord-9", Kind: "erase", State: "issued", Reason: "Not found by the morning", RequestedBy: joel, Requested: at("08:55:00"), Expires: at("20:55:00"),
			Options: json.RawMessage(`{"preserve_data_plan":false}`), Hash: "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5", Statement: []byte("12345"),
			Targets: []casefile.Target{{Device: "dev-31", Enrolment: "enr-1", Name: "Ward 4 – 31", Command: "u-3", Outcome: "accepted", Delivered: at("09:12:00"), Answered: at("09:12:00.8")}},
			Approvals: []casefile.Approval{
				approve("per-joel", "Joël Meade", "joel@trust.example", at("08:55:40")),
				approve("per-ama", "Ama Osei", "ama@trust.example", at("09:09:58")),
			},
		}},
		Locations:    []casefile.Look{{At: at("04:10:00"), By: joel, Deed: "looked at", Purpose: "for the police"}},
		Certificates: []casefile.Certificate{{Serial: "4f:00:11", Use: "messaging app", Revoked: at("03:04:05.1"), Reason: "lost", List: "41", Listed: at("03:04:06")}},
		Timeline: []casefile.Event{
			{At: at("03:04:05.1"), Kind: "reported", Text: "Reported as stolen", By: hana},
			{At: at("03:04:05.102"), Kind: "command", Text: "Lost mode on: accepted", By: hana},
			{At: at("04:10:00"), Kind: "location looked at", Text: "The location was looked at", By: joel},
		},
		Assessment: &casefile.Assessment{
			Level: "medium", Reasons: []string{"It is not known when the passcode was last confirmed."},
			Facts: []casefile.Fact{{Name: "Encrypted", Value: "yes", Known: true, At: at("02:00:00")}, {Name: "Last use of the app's certificate", Bad: true}},
			Aware: at("03:04:05.1"), Deadline: at("03:04:05.1").Add(72 * time.Hour),
		},
		Decisions: []casefile.Decision{{At: at("17:30:00"), By: joel, Level: "medium", Reasoning: "Encrypted, locked within a second, erase accepted.", Reference: "INC-2041", Link: "https://incidents.example/2041"}},
		Audit: casefile.Audit{
			Origin: logName, Key: "ward.example/audit+00000000+AAAA", Checkpoint: logName + "\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— ward.example/audit AAAA\n", Size: 3,
			Entries: []casefile.Entry{
				{Index: 0, Time: at("03:04:05.1"), Action: "case.opened", Subject: "case-7q", Actor: "Hana Őry", Record: []byte(`{"v":1}`), Proof: [][]byte{{1, 2}}, What: &casefile.Opening{Salt: []byte{9}, JSON: "{}"}},
				{Index: 2, Time: at("09:10:00"), Action: "order.issued", Subject: "ord-9", Record: []byte(`{"v":1}`), Proof: [][]byte{{3}}},
			},
			Pending: []casefile.Pending{{Time: at("17:59:59"), Action: "case.file-made", Subject: "case-7q"}},
		},
	}
}

func approve(person ward.PersonID, name, subject string, when time.Time) casefile.Approval {
	return casefile.Approval{
		Person: person, Name: name, Subject: subject, Approver: "apr-" + string(person), At: when,
		Hash:   "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
		Proven: true, PublicKey: []byte{0xa5}, Assertion: &casefile.Assertion{Purpose: "order", Nonce: []byte{1}, ClientData: []byte(`{"type":"webauthn.get"}`), AuthenticatorData: []byte{2}, Signature: []byte{3}},
	}
}
