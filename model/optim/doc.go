// Package optim holds the optimisers of devices and of the server, and learning
// rate schedules, as steps on flat float32 vectors.
//
// On a device an Optimizer follows a gradient downhill. On the server a Server
// takes the mean of the devices' updates, which already points downhill, and
// decides how far to follow it.
package optim
