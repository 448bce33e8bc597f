"""
Reading a certificate
=====================

Which of a design's figures are proved, and which are only measured?
"""

# %%
# A design returns three figures of the Cramér–Rao bound. ``lower_bound`` is proved: no signals of this kind are better.
# ``relaxed_value`` belongs to covariances that keep every limit. ``value`` belongs to the precoders that are sent.

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import design
from disac.simulator import Scenario

scene = Scenario.preset("fig7")
names = ("p1-noncoherent", "p2", "p3-true", "sensing-only")
results = {name: design(name, scene, None if name == "sensing-only" else 20.0) for name in names}
for name, result in results.items():
    print(
        f"{name:15s} {result.status:8s} bound {result.lower_bound:.4e}  relaxed {result.relaxed_value:.4e}  "
        f"sent {result.value:.4e} m^2  gap {result.gap:.0e}  extraction {100 * result.extraction_loss:.2f} %"
    )

# %%
# The certificate is recomputed from the precoders. Here are the SINR of each user on each subcarrier, and the power of
# each antenna over its limit.

certificate = results["p2"].certificate
sinr_db = 10 * np.log10(certificate.sinr)
print(f"least SINR {sinr_db.min():.4f} dB, most power {certificate.antenna_power.max() / scene.tx_power:.6f} P_T")
print(f"largest relative violation of any limit: {certificate.residual:.1e}")

# %%
# The prices of the dual point say what a limit costs: subcarriers with a high price are those on which the SINR holds
# the design back.

figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(5.0, 4.0), layout="constrained")
subcarriers = np.arange(scene.n_subcarriers)
top.plot(subcarriers, sinr_db[0], "k.-")
top.axhline(20.0, color="#0072B2", linestyle="--", label="asked for")
top.set_ylabel("SINR [dB]")
top.legend()
bottom.bar(subcarriers, certificate.sinr_price[0], color="#777777")
bottom.set(xlabel="subcarrier", ylabel="price of its SINR")
plt.show()

# %%
# On the command line::
#
#     disac design p2 --preset fig7 --sinr-db 20
