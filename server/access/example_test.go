package access_test

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

func ExampleCheck() {
	ctx := ward.WithActor(context.Background(), ward.Actor{Person: "person-maud", Name: "Maud", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleSupport}})
	fmt.Println(access.Check(ctx, access.DeviceLock))
	fmt.Println(access.Check(ctx, access.OrderApprove))
	// Output:
	// <nil>
	// You may not approve an order (order:approve). Someone with the role approver may.
}
