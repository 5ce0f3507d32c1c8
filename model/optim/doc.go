// Package optim holds the optimisers of devices and of the server, and learning
// rate schedules, as steps on flat float32 vectors.
//
// On a device, or wherever a gradient is at hand, an Optimizer follows it
// downhill: SGD with momentum, Adam, AdamW, RMSprop, Adagrad, with PyTorch's
// meaning of every constant. On the server a Server takes the mean of the devices'
// updates, which already points downhill, and decides how far to follow it:
// FedAvg, FedSGD, and the adaptive FedAdam, FedYogi and FedAdagrad. Both keep a
// State, canonical bytes from which a run goes on bit for bit.
package optim
