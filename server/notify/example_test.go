package notify_test

import (
	"fmt"

	"github.com/wardmdm/ward/server/notify"
)

// A message is told within the unit of work of what it tells of:
//
//	err := unit.Do(ctx, func(ctx context.Context) error {
//		if err := hold(ctx); err != nil {
//			return err
//		}
//		return notifications.Tell(ctx, notify.Message{Topic: notify.BrakeHeld, Subject: "…", Urgent: true})
//	})
func ExampleDelivery_State() {
	fmt.Println(notify.Delivery{}.State())
	// Output: waiting
}
