package casefile_test

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward/server/casefile"
)

// A page shows the same words as the PDF.
func ExampleNewView() {
	reported := time.Date(2026, 11, 14, 3, 4, 5, 0, time.UTC)
	v := casefile.NewView(casefile.Source{
		MadeAt: reported.Add(time.Hour),
		Case:   &casefile.Case{ID: "case-7q", Kind: "lost", State: "open", Reported: reported},
		Commands: []casefile.Command{{
			RequestType: "EnableLostMode", State: "accepted",
			Queued: reported, Delivered: reported.Add(100 * time.Millisecond), Answered: reported.Add(400 * time.Millisecond),
		}},
	})
	fmt.Println(v.Title, "-", v.ID)
	for _, r := range v.Sections[0].Rows {
		fmt.Printf("%s: %s\n", r.Label, r.Value)
	}
	// Output:
	// Lost: device - case-7q
	// The case: Open
	// Lock: Accepted by the device at 14 November 2026 03:04:05 UTC, 0.400 s after the report
	// Erase: No erase was sent
	// Certificates: 0 were revoked
	// Data breach: Not decided
}
