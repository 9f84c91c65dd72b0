package order_test

import (
	"fmt"

	"github.com/wardmdm/ward/server/order"
)

func ExampleOrder_Digest() {
	o := order.Order{ID: "o1", Kind: order.Erase, Reason: "stolen", RequestedBy: "ada", Targets: []order.Target{{Device: "d1", Enrolment: "e1", Name: "Ward 7"}}}
	before, err := o.Digest()
	if err != nil {
		panic(err)
	}
	o.Targets[0].Device = "d2" // a change is a new order: the approval of the old one does not fit it
	after, err := o.Digest()
	if err != nil {
		panic(err)
	}
	fmt.Println(len(before), before == after)
	// Output: 64 false
}
