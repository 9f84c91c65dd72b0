package lost_test

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
)

func ExampleWords() {
	at := time.Date(2026, 11, 3, 3, 12, 0, 0, time.UTC)
	erase := command.Record{RequestType: "EraseDevice", State: command.Accepted, Answered: at}
	fmt.Println(lost.Words(erase, lost.Contact{LastSeen: at}))
	// Output: Erase: accepted by the device at 3 November 2026 03:12:00 UTC, not seen since
}
