package brake_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// A hand-out takes before it delivers. Past the window everything of the kind waits, until
// an order that two people approved releases it.
func Example() {
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	b, err := brake.New(brake.Config{
		Journal: &journal{}, Anchor: &anchor{}, Fleet: fleet(400), Key: bytes.Repeat([]byte{1}, 32), Now: func() time.Time { return now },
		Limits: map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 2}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, o := range []ward.OrderID{"o1", "o2", "o3"} {
		held, err := b.Take(ctx, brake.Entry{Event: brake.Delivered, Kind: brake.Erase, Order: o, Enrolment: "e"})
		if held != nil {
			fmt.Println(o, "waits:", held.Words())
			continue
		}
		fmt.Println(o, "goes:", err)
	}
	err = b.Record(ctx, brake.Entry{Event: brake.Released, Kind: brake.Erase, Order: "release"})
	left, _ := b.Room(ctx, brake.Erase, "")
	fmt.Println("released:", err, "- room for", left)
	// Output:
	// o1 goes: <nil>
	// o2 goes: <nil>
	// o3 waits: There were 2 erasures within an hour, the most that is allowed here. Since 03:00 on 3 November 2026 UTC all erasures wait until two people release them, one of whom had no part in it. If this is an attack, cancel what is open.
	// released: <nil> - room for 2
}
