"""The entry point of AMASS-to-3DHPE, by the same name and with the same options.

From this directory: ``python convert.py --amass_dir ../data --out_dir OUT --joint_regressor
../support_data/J_regressor_h36m.npy --r 50 --gpu_id 0 --batch_size 2048``. It is ``amass-joints convert``.
"""

import sys

if __name__ == "__main__":
    sys.argv.insert(1, "convert")
    try:
        from amass_joints.__main__ import main

        main()
    except ModuleNotFoundError as error:
        sys.exit(f"Error: {error.name} is not installed. In the project's directory: pip install .")
